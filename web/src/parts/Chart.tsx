// Charts over time, behind one component: uPlot draws them, cursors and zoom are shared by all of a page.

import { useEffect, useLayoutEffect, useRef } from "react";
import "uplot/dist/uPlot.min.css";
import uPlot from "uplot";
import { useManner } from "../manner";

export interface Series {
  label: string;
  values: (number | null)[];
}

export interface Mark {
  at: number;
  level: string;
}

interface Given {
  /** Unix times in seconds. */
  at: number[];
  series: Series[];
  from: number;
  to: number;
  format: (value: number | null) => string;
  marks: Mark[];
  onZoom: (from: number, to: number) => void;
  label: string;
}

/** All charts of a page point at the same moment. */
const SYNC = "tidegate";
const HEIGHT = 150;
const COLORS = ["--series-1", "--series-2", "--series-3", "--series-4"];
const LEVELS: Record<string, string> = { info: "--series-faint", warning: "--mark-warning", error: "--mark-error" };

export function Chart(given: Given) {
  const frame = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef(given);
  latest.current = given;
  const { locale, utc } = useManner();
  const shape = given.series.map((one) => one.label).join("\n");

  // biome-ignore lint/correctness/useExhaustiveDependencies: a chart is made anew when what it is of changes, not its figures
  useLayoutEffect(() => {
    const home = frame.current;
    if (!home) return;
    const color = (name: string) => getComputedStyle(home).getPropertyValue(name).trim() || "#888";
    const made = new uPlot(options(home, latest, locale, utc, color), data(latest.current), home);
    chart.current = made;
    const fit = new ResizeObserver(() => made.setSize({ width: home.clientWidth, height: HEIGHT }));
    fit.observe(home);
    // Colours are read when a chart is made.
    const looks = new MutationObserver(() => made.redraw(false));
    looks.observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });
    return () => {
      looks.disconnect();
      fit.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [shape, locale, utc]);

  useEffect(() => {
    const drawn = chart.current;
    if (!drawn) return;
    drawn.setData(data(given), false);
    drawn.setScale("x", { min: given.from, max: given.to });
  }, [given]);

  return <div ref={frame} className="chart" role="img" aria-label={given.label} />;
}

const data = (given: Given): uPlot.AlignedData => [given.at, ...given.series.map((one) => one.values)];

function options(
  home: HTMLElement,
  latest: { current: Given },
  locale: string,
  utc: boolean,
  color: (name: string) => string,
): uPlot.Options {
  const zone = utc ? "UTC" : Intl.DateTimeFormat().resolvedOptions().timeZone;
  const clock = new Intl.DateTimeFormat(locale, {
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
    timeZone: zone,
  });
  const second = new Intl.DateTimeFormat(locale, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
    timeZone: zone,
  });
  const day = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", timeZone: zone });
  const axis = {
    stroke: () => color("--axis"),
    font: "11px sans-serif",
    labelFont: "11px sans-serif",
    ticks: { show: false },
  };
  return {
    width: home.clientWidth,
    height: HEIGHT,
    tzDate: (at) => (utc ? uPlot.tzDate(new Date(at * 1e3), "Etc/UTC") : new Date(at * 1e3)),
    padding: [8, 8, 0, 0],
    legend: { live: true, markers: { width: 0, fill: (_, place) => color(COLORS[(place - 1) % COLORS.length] ?? "") } },
    cursor: { sync: { key: SYNC, setSeries: false }, drag: { x: true, y: false }, points: { size: 6 } },
    scales: {
      x: { time: true },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.08 : 1] },
    },
    axes: [
      {
        ...axis,
        space: 70,
        size: 30,
        grid: { show: false },
        values: (drawn, moments) => {
          const span = (drawn.scales.x?.max ?? 0) - (drawn.scales.x?.min ?? 0);
          return moments.map((at) => (span > 36 * 3600 ? day : span < 600 ? second : clock).format(at * 1000));
        },
      },
      {
        ...axis,
        size: 68,
        space: 32,
        grid: { stroke: () => color("--grid"), width: 1 },
        values: (_, values) => values.map((value) => latest.current.format(value)),
      },
    ],
    series: [
      { label: " ", value: (_, at) => (at == null ? "" : second.format(at * 1000)) },
      ...latest.current.series.map((one, place) => ({
        label: one.label,
        stroke: () => color(COLORS[place % COLORS.length] ?? ""),
        fill: latest.current.series.length === 1 ? () => color("--series-fill") : undefined,
        width: 1.6,
        points: { show: false },
        value: (_: uPlot, value: number | null) => latest.current.format(value),
      })),
    ],
    hooks: {
      draw: [(drawn) => marks(drawn, latest.current.marks, color)],
      setSelect: [
        (drawn) => {
          if (drawn.select.width < 4) return;
          const from = drawn.posToVal(drawn.select.left, "x");
          const to = drawn.posToVal(drawn.select.left + drawn.select.width, "x");
          drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          latest.current.onZoom(Math.floor(from), Math.ceil(to));
        },
      ],
    },
  };
}

/** Where key events were. */
function marks(drawn: uPlot, all: Mark[], color: (name: string) => string) {
  const { ctx, bbox } = drawn;
  ctx.save();
  ctx.setLineDash([3, 3]);
  for (const mark of all) {
    const x = drawn.valToPos(mark.at, "x", true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = color(LEVELS[mark.level] ?? "--series-faint");
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  ctx.restore();
}
