// A browser that notices: requests to other origins, failed ones, the console, and what the policy of the page stops.

import { chromium } from "playwright-core";

/** Starts Debian's Chromium, or the program in SAMPAN_CHROMIUM. Root needs `--no-sandbox`. */
export function launch(args = []) {
  const executablePath = process.env.SAMPAN_CHROMIUM ?? "/usr/bin/chromium";
  const sandbox = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args: [...sandbox, ...args] });
}

/** A window without cookies. `problems` has all that a page must not do; `close` returns it. */
export async function open(browser, origin, options = {}) {
  const context = await browser.newContext({ locale: "en", viewport: { width: 1280, height: 800 }, ...options });
  // Where a page hangs, the test fails before the run does.
  context.setDefaultTimeout(30_000);
  const problems = [];
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  context.on("request", (request) => {
    if (!request.url().startsWith(`${origin}/`)) problems.push(`asks ${request.url()}`);
  });
  context.on("requestfailed", (request) => {
    // A click while the icon loads aborts that.
    const reason = request.failure()?.errorText;
    if (reason !== "net::ERR_ABORTED") problems.push(`${request.url()}: ${reason}`);
  });
  context.on("response", (response) => {
    const isPart = !response.request().isNavigationRequest();
    if (isPart && response.status() >= 400) problems.push(`${response.url()}: ${response.status()}`);
  });
  context.on("console", (message) => {
    // Chromium also says so when a page itself is a 401 or 404, which is no mistake of the page.
    const isStatus = message.text().startsWith("Failed to load resource: the server responded with a status");
    if (["error", "warning"].includes(message.type()) && !isStatus) problems.push(`console: ${message.text()}`);
  });
  context.on("weberror", (error) => problems.push(`script: ${error.error()}`));
  context.on("dialog", (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    return dialog.dismiss();
  });
  const page = await context.newPage();
  const close = async () => {
    await context.close();
    return problems;
  };
  return { context, page, problems, close };
}

/** The names in the first column of the list, whose last link has the whole name. */
export function rows(page) {
  const links = page.locator("table.list tbody tr > th > a:last-of-type");
  return links.evaluateAll((all) => all.map((link) => link.getAttribute("aria-label") ?? link.textContent));
}

/** Fills the form for a login, and sends it. */
export async function logIn(page, user, password) {
  await page.fill("#user", user);
  await page.fill("#password", password);
  await page.click("main button");
}
