// One web socket per tab: what changes by itself at the tasks that are shown. What it says is laid over what REST
// answered; after a gap REST is asked again.

import type { Task } from "../api/client";

export type State = "connecting" | "live" | "broken";
export type Row = Partial<Task>;

interface Hello {
  columns: (keyof Task)[];
  build: string;
  server: string;
}

interface Told {
  at: number;
  list: string;
  rows: Record<string, unknown[] | null>;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const LOGGED_OUT = [1008, 4401];

type Listener = () => void;

/** Laid over a task that the server does not know any more. */
export const GONE: Row = { state: "removed", status: "" };

export class Live {
  state: State = "connecting";
  /** When the last message came, by this machine's clock; 0: none has. */
  heardAt = 0;
  /** The server was upgraded while the tab was open. */
  outdated = false;
  onGap: Listener = () => {};
  onList: Listener = () => {};
  onLoggedOut: Listener = () => {};

  private socket: WebSocket | null = null;
  private columns: (keyof Task)[] = [];
  private build: string | null = null;
  private list: string | null = null;
  private waitMs = FIRST_WAIT_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private wasBroken = false;
  private readonly rows = new Map<number, Row>();
  private readonly watchers = new Map<object, number[]>();
  private readonly byTask = new Map<number, Set<Listener>>();
  private readonly onState = new Set<Listener>();

  constructor(private readonly url: string) {}

  start(): void {
    document.addEventListener("visibilitychange", this.say);
    this.connect();
  }

  /** Show these tasks for as long as `who` does not say otherwise. */
  watch(who: object, ids: number[]): void {
    if (ids.length) this.watchers.set(who, ids);
    else this.watchers.delete(who);
    this.say();
  }

  row(id: number): Row | undefined {
    return this.rows.get(id);
  }

  subscribe(id: number, listener: Listener): () => void {
    const held = this.byTask.get(id) ?? new Set();
    this.byTask.set(id, held.add(listener));
    return () => {
      held.delete(listener);
      if (held.size === 0) this.byTask.delete(id);
    };
  }

  subscribeState(listener: Listener): () => void {
    this.onState.add(listener);
    return () => this.onState.delete(listener);
  }

  private become(state: State): void {
    if (this.state === state) return;
    this.state = state;
    for (const listener of this.onState) listener();
  }

  private connect(): void {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    let greeted = false;
    socket.onmessage = (message) => {
      const said = JSON.parse(String(message.data)) as Hello | Told;
      this.heardAt = Date.now();
      if (greeted) return this.hear(said as Told);
      greeted = true;
      this.greet(said as Hello);
    };
    socket.onclose = (ended) => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.wasBroken = true;
      this.become("broken");
      if (LOGGED_OUT.includes(ended.code)) this.onLoggedOut();
      this.timer = setTimeout(() => this.connect(), this.waitMs * (0.75 + Math.random() / 2));
      this.waitMs = Math.min(this.waitMs * 2, LONGEST_WAIT_MS);
    };
  }

  /** No more until `start` is called again. */
  stop(): void {
    document.removeEventListener("visibilitychange", this.say);
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  private greet(hello: Hello): void {
    this.waitMs = FIRST_WAIT_MS;
    this.columns = hello.columns;
    this.outdated ||= this.build !== null && hello.build !== this.build;
    this.build ??= hello.build;
    // What was said before the gap may be old.
    this.rows.clear();
    this.become("live");
    this.say();
    if (this.wasBroken) {
      this.wasBroken = false;
      this.onGap();
    }
  }

  private readonly say = (): void => {
    if (this.socket?.readyState !== WebSocket.OPEN || this.state !== "live") return;
    const ids = document.hidden ? [] : [...new Set([...this.watchers.values()].flat())].slice(0, 200);
    this.socket.send(JSON.stringify({ watch: ids }));
  };

  private hear(told: Told): void {
    for (const [key, values] of Object.entries(told.rows)) {
      const id = Number(key);
      const row = values ? Object.fromEntries(this.columns.map((name, place) => [name, values[place]])) : GONE;
      this.rows.set(id, row as Row);
      for (const listener of this.byTask.get(id) ?? []) listener();
    }
    if (this.list !== null && told.list !== this.list) this.onList();
    this.list = told.list;
    for (const listener of this.onState) listener();
  }
}
