// The page in a browser: `node main.mjs HOOKS FOLDER PICTURES`.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { crowd } from './crowd.mjs';
import { customers } from './customers.mjs';
import { newcomer } from './newcomer.mjs';
import { odd } from './odd.mjs';
import { operator } from './operator.mjs';
import { Browser, Receiver } from './world.mjs';

const [hooks, folder, pictures] = process.argv.slice(2);

/** Keeps a picture, for the documentation. */
async function picture(page, name) {
  await page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0); });
  const before = page.viewportSize();
  await page.setViewportSize({ width: 1080, height: 680 });
  await page.screenshot({ path: join(pictures, `${name}.png`) });
  await page.setViewportSize(before);
}

mkdirSync(pictures, { recursive: true });
const world = { hooks, folder, picture, receiver: await new Receiver().start(), browser: await new Browser().start() };
for (const flow of [newcomer, operator, customers, odd, crowd]) {
  console.log(`${flow.name}:`);
  await flow(world);
  world.browser.quiet(flow.name);
}
console.log('the page works');
process.exit(0);
