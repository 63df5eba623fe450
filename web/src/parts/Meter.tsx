/** How much of something is done, as a bar. */
export function Meter({ percent, label, tone = "" }: { percent: number; label: string; tone?: string }) {
  return (
    <span
      className={`meter ${tone}`}
      role="progressbar"
      aria-valuenow={Math.round(percent)}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-label={label}
    >
      <b style={{ width: `${Math.min(100, Math.max(0, percent))}%` }} />
    </span>
  );
}
