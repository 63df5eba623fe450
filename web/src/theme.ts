import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

const tide: MantineColorsTuple = [
  "#e8f5fa",
  "#d2e8f1",
  "#a6d2e3",
  "#76bad5",
  "#4aa3c6",
  "#2a8cb2",
  "#17769b",
  "#0f6a8b",
  "#0a5670",
  "#064257",
];

/** Shades 6 and 7 carry white text, and are legible on their own tint. */
const amber: MantineColorsTuple = [
  "#fff3e0",
  "#fde3c0",
  "#f9cd94",
  "#f3b163",
  "#e8963a",
  "#cf7a1c",
  "#a85d08",
  "#8a4b00",
  "#6f3c00",
  "#552d00",
];
const rose: MantineColorsTuple = [
  "#fdecee",
  "#f9d4d8",
  "#f3adb5",
  "#ea808c",
  "#e05a69",
  "#cb3a4b",
  "#b32a3a",
  "#9c1f2f",
  "#7f1725",
  "#63101b",
];

/** Of the dark looks: fields, buttons and their borders, as blue as the cards are. */
const dark: MantineColorsTuple = [
  "#dfe5eb",
  "#b7c1cc",
  "#98a4b1",
  "#6b7684",
  "#3b4450",
  "#2f3741",
  "#1f262e",
  "#171c22",
  "#12161b",
  "#0e1216",
];

export const theme = createTheme({
  primaryColor: "tide",
  primaryShade: { light: 7, dark: 6 },
  colors: { tide, amber, rose, dark },
  autoContrast: true,
  luminanceThreshold: 0.35,
  fontFamily:
    'Inter, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Noto Sans SC", "PingFang SC", "Microsoft YaHei", sans-serif',
  fontFamilyMonospace:
    'ui-monospace, "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  headings: { fontWeight: "650" },
});

/** Dimmed text of the stock theme is too faint for WCAG AA on our backgrounds. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#5a6572",
    "--mantine-color-body": "#ffffff",
    "--mantine-color-placeholder": "#66717e",
  },
  dark: {
    "--mantine-color-dimmed": "#a3aebb",
    "--mantine-color-body": "#14181d",
    "--mantine-color-text": "#dfe5eb",
    "--mantine-color-placeholder": "#98a4b1",
    "--mantine-color-anchor": "#7cc4de",
  },
});
