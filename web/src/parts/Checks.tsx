import { Icon } from "./Icon";
import { sentence } from "./Operations";

export interface CheckLine {
  name: string;
  ok: boolean;
  found: string;
  advice: string;
  code: string;
  /** It is not in order, and no reason to stop either. */
  mild?: boolean;
}

/** What was looked at, whether it is in order, what was found, what to do about it. */
export function Checks({ lines }: { lines: CheckLine[] }) {
  return (
    <ul className="checks">
      {lines.map((line, place) => (
        <li key={`${line.name}${place}`} className={line.ok ? "check-ok" : line.mild ? "check-mild" : "check-wrong"}>
          <Icon name={line.ok ? "check" : line.mild ? "warning" : "cross"} size={15} />
          <div>
            <b>{line.name}</b>
            {line.found && <span className="check-found"> {line.ok ? line.found : sentence(line.found)}</span>}
            {!line.ok && line.advice && <p className="box-advice">{line.advice}</p>}
            {!line.ok && line.code && <code className="box-code">{line.code}</code>}
          </div>
        </li>
      ))}
    </ul>
  );
}
