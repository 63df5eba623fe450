import { memo } from "react";

const WIDTH = 76;
const HEIGHT = 20;

/** The shape of a figure's last minutes; gaps where nothing was known. */
export const Sparkline = memo(function Sparkline({ values }: { values: (number | null)[] | undefined }) {
  if (!values?.some((value) => value !== null)) return <span className="spark" />;
  const most = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const step = WIDTH / Math.max(1, values.length - 1);
  let line = "";
  let drawing = false;
  values.forEach((value, place) => {
    if (value === null) {
      drawing = false;
      return;
    }
    const y = HEIGHT - 1.5 - (value / most) * (HEIGHT - 3);
    line += `${drawing ? "L" : "M"}${(place * step).toFixed(1)} ${y.toFixed(1)}`;
    drawing = true;
  });
  return (
    <svg className="spark" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <path d={line} />
    </svg>
  );
});
