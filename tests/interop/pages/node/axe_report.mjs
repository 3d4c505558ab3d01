// Judge the demo's report as somebody with a phone, a keyboard or a screen reader meets it.
//   CHROMIUM=PROGRAM node axe_report.mjs REPORT.html [FOLDER FOR SCREENSHOTS]
// axe-core's rules for WCAG 2.2 A and AA and its good practice, at two widths, by day and by night;
// and what axe does not try: targets for a thumb, the time line by keyboard.  Prints a line of JSON:
// how many rules passed, and the findings in words.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const [report, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
});
const findings = [];
let passes = 0;
for (const [width, height] of [[1280, 900], [400, 800]])
  for (const scheme of ["light", "dark"]) {
    const page = await browser.newPage();
    page.on("pageerror", error => findings.push(`${width} ${scheme}: script: ${error.message}`));
    page.on("request", request => {
      if (!/^(file|data|blob):/.test(request.url())) findings.push(`asks for ${request.url()}`);
    });
    await page.setViewport({ width, height, isMobile: width < 600, hasTouch: width < 600 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.goto(pathToFileURL(report).href);
    if (pictures)
      await page.screenshot({ path: `${pictures}/${width}-${scheme}.png`, fullPage: true });
    await page.evaluate(axe);
    const result = await page.evaluate(() => axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    }));
    passes += result.passes.length;
    for (const rule of result.violations)
      for (const node of rule.nodes)
        findings.push(`${width} ${scheme}: ${rule.id}: ${rule.help}: ${node.html.slice(0, 120)}`);
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (overflow > 0) findings.push(`${width} ${scheme}: ${overflow} px wider than the screen`);
    const small = await page.evaluate(() => [...document.querySelectorAll("button")]
      .filter(b => b.getBoundingClientRect().height < 44 || b.getBoundingClientRect().width < 24)
      .map(b => b.getAttribute("aria-label")));
    for (const name of small) findings.push(`${width} ${scheme}: small target: ${name}`);
    await page.focus("#scroll");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(
      () => document.querySelector("#scroll").getAttribute("aria-valuenow") === "2",
      { timeout: 5000 },
    ).catch(() => findings.push(`${width} ${scheme}: the time line does not follow the keys`));
    await page.close();
  }
await browser.close();
console.log(JSON.stringify({ passes, findings }));
