// Starts Chromium for the scripts that open pages.

import { chromium } from "playwright-core";

/** Starts Chromium with a new profile, in the folder for temporary files. */
export const launch = (executablePath) =>
  chromium.launch({
    executablePath,
    headless: true,
    args: [
      // Chromium has no sandbox for root, and the pages are our own.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
