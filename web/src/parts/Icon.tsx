// The few signs the console has, drawn on a grid of 16.

const PATHS = {
  run: <path d="M5 3.2v9.6l7.600-4.800z" fill="currentColor" />,
  pause: <path d="M4.500 3h2.600v10H4.500zM8.900 3h2.600v10H8.900z" fill="currentColor" />,
  "force-pause": (
    <>
      <path d="M3 3h2.300v10H3zM7 3h2.300v10H7z" fill="currentColor" />
      <path d="M12.800 2.500 11 8.400h2.200L11.700 13.500" strokeLinejoin="round" />
    </>
  ),
  continue: <path d="M3 3h2.400v10H3zM7 3.200v9.600l6.800-4.800z" fill="currentColor" />,
  stop: <rect x="3.500" y="3.500" width="9" height="9" rx="1" fill="currentColor" />,
  submit: <path d="M8 13V3.500M4.200 7.200 8 3.400l3.800 3.800" />,
  remove: <path d="M3 4.500h10M6.300 4.500V3h3.400v1.500M4.500 4.500l.6 8.500h5.800l.6-8.500" />,
  more: (
    <g fill="currentColor">
      <circle cx="3.500" cy="8" r="1.400" />
      <circle cx="8" cy="8" r="1.400" />
      <circle cx="12.500" cy="8" r="1.400" />
    </g>
  ),
  search: (
    <>
      <circle cx="7" cy="7" r="4" />
      <path d="m10 10 3.500 3.500" />
    </>
  ),
  columns: <path d="M2.500 3h11v10h-11zM6.200 3v10M9.800 3v10" />,
  sun: (
    <>
      <circle cx="8" cy="8" r="2.800" />
      <path d="M8 1.500v1.600M8 12.900v1.600M1.500 8h1.600M12.900 8h1.600M3.400 3.400l1.100 1.100M11.500 11.500l1.100 1.100M3.400 12.600l1.100-1.100M11.500 4.500l1.100-1.100" />
    </>
  ),
  moon: <path d="M13 9.700A5.500 5.500 0 1 1 6.300 3a4.500 4.500 0 0 0 6.700 6.700z" />,
  auto: (
    <>
      <circle cx="8" cy="8" r="5" />
      <path d="M8 3a5 5 0 0 1 0 10z" fill="currentColor" />
    </>
  ),
  refresh: <path d="M13 8a5 5 0 1 1-1.600-3.600M13 2.500v2.800h-2.800" />,
  check: <path d="m3.500 8.500 3 3 6-7" />,
  cross: <path d="m4 4 8 8M12 4l-8 8" />,
  minus: <path d="M3.500 8h9" />,
  warning: <path d="M8 2.500 14 13H2zM8 6.500v3M8 11.200v.3" />,
  error: (
    <>
      <circle cx="8" cy="8" r="5.500" />
      <path d="M8 5v3.500M8 10.800v.3" />
    </>
  ),
  info: (
    <>
      <circle cx="8" cy="8" r="5.500" />
      <path d="M8 7.500V11M8 5v.3" />
    </>
  ),
  arrow: <path d="M2.500 8h10.500M9.500 4.500 13 8l-3.500 3.500" />,
  up: <path d="M8 13V3M4.500 6.500 8 3l3.500 3.500" />,
  down: <path d="M8 3v10M4.500 9.500 8 13l3.500-3.500" />,
  clock: (
    <>
      <circle cx="8" cy="8" r="5.500" />
      <path d="M8 4.800V8l2.300 1.500" />
    </>
  ),
  database: (
    <>
      <ellipse cx="8" cy="4" rx="4.800" ry="1.900" />
      <path d="M3.200 4v8c0 1 2.100 1.900 4.800 1.900s4.800-.9 4.800-1.900V4M3.200 8c0 1 2.100 1.900 4.800 1.900s4.800-.9 4.800-1.900" />
    </>
  ),
  gear: (
    <>
      <circle cx="8" cy="8" r="2.300" />
      <path d="M8 1.800v2.100M8 12.100v2.100M1.800 8h2.100M12.100 8h2.100M3.600 3.600l1.500 1.500M10.900 10.900l1.500 1.500M3.600 12.400l1.500-1.500M10.900 5.100l1.500-1.500" />
    </>
  ),
  download: <path d="M8 3v7M4.800 7 8 10.200 11.200 7M3.500 13h9" />,
  plus: <path d="M8 3.500v9M3.500 8h9" />,
  edit: <path d="m10.500 3.500 2 2L6 12l-2.700.700L4 10z" />,
  bell: <path d="M4 11V7.500a4 4 0 0 1 8 0V11l1 1.200H3zM6.800 13.500h2.400" />,
  lock: <path d="M3.500 7.500h9v6h-9zM5.500 7.500V5a2.500 2.500 0 0 1 5 0v2.500" />,
  person: (
    <>
      <circle cx="8" cy="5" r="2.500" />
      <path d="M3 13.500a5 5 0 0 1 10 0" />
    </>
  ),
  program: <path d="M2.500 3h11v10h-11zM5 6l2 2-2 2M8.500 10.500H11" />,
  camera: (
    <>
      <path d="M2.500 5h2.700l1-1.600h3.600l1 1.600h2.700v7.500h-11z" />
      <circle cx="8" cy="8.500" r="2.200" />
    </>
  ),
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.500"
      strokeLinecap="round"
      aria-hidden="true"
    >
      {PATHS[name]}
    </svg>
  );
}

export const isIcon = (name: string): name is IconName => name in PATHS;

export function Logo({ size = 28 }: { size?: number }) {
  return <img src={`${import.meta.env.BASE_URL}tide.svg`} width={size} height={size} alt="" />;
}
