import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.TIDEGATE_URL ?? "http://127.0.0.1:8470";

export default defineConfig({
  base: "/console/",
  plugins: [react()],
  build: {
    outDir: "../src/tidegate/console/static",
    emptyOutDir: true,
    // `light-dark()` and nesting are left as they are written: every browser of the last two years has them.
    target: "es2023",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { "/api": { target: server, ws: true } },
  },
  test: { include: ["src/**/*.test.ts"] },
} as Parameters<typeof defineConfig>[0]);
