// What an operator does: look on, act, by keyboard too, and while the daemon dies.

import { Daemon, check, sound } from './world.mjs';

const CONFIG = `
[bus]
kind = 'durable'
dir = '\${CONFIG_DIR}/operator'
[api]
sink_options.http.allow_cidrs = ['127.0.0.0/8']
`;

export async function operator({ hooks, folder, receiver, browser, picture }) {
  const daemon = await new Daemon(hooks, folder, 'operator', CONFIG).start();
  const page = await browser.open(`${daemon.url}/ui/`);
  await page.getByText('There are no hooks yet.').waitFor();
  check('without a token a loopback address shows everything, and says how to begin', true);

  // A new one, with a secret that is shown once.
  await page.getByRole('link', { name: 'New hook' }).click();
  await page.getByLabel('id', { exact: true }).fill('orders');
  await page.getByLabel('sink.url', { exact: true }).fill(`${receiver.url}/orders`);
  await page.getByLabel('types', { exact: true }).fill('order.*\ninvoice.*');
  await page.getByRole('button', { name: 'Save' }).click();
  const made = page.getByLabel('Secret', { exact: true });
  check('a secret is made and shown once', (await made.inputValue()).startsWith('whsec_'));
  await sound(page, 'a secret');
  await page.getByRole('link', { name: 'To orders' }).click();
  await page.getByText('Nothing was tried yet.').waitFor();
  await sound(page, 'a hook without attempts');

  await page.getByRole('button', { name: 'Test' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('delivered').waitFor();
  check('a test says its phases', /connect/i.test(await dialog.innerText()), await dialog.innerText());
  await sound(page, 'a test');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });

  // Everything by keyboard: to the hooks, to the first one, and what is focused is seen.
  await page.goto(`${daemon.url}/ui/#/`);
  await page.getByRole('heading', { name: '1 hook' }).waitFor();
  await tabTo(page, 'Hooks');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  check('what has the focus is seen', outline === 'solid', outline);
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'orders' }).waitFor();
  await tabTo(page, 'orders');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'orders' }).waitFor();
  await tabTo(page, 'Disable');
  await page.keyboard.press('Enter');
  await page.getByText('orders is disabled.').waitFor();
  const wrong = page.getByRole('region', { name: 'What is wrong' });
  check('who disabled it, and since when', (await wrong.innerText()).includes('an operator'), await wrong.innerText());
  await page.getByRole('button', { name: 'Enable' }).click();
  await page.getByText('orders is enabled.').waitFor();

  // Live: what happens elsewhere is seen without loading anything.
  await daemon.publish(Array.from({ length: 300 }, (_, at) => ({ type: 'order.placed', data: { at } })));
  await page.locator('dd', { hasText: /^300$/ }).waitFor();
  check('what was delivered is counted while one looks', true);
  await page.locator('details[data-attempt]', { hasText: /\d+ events/ }).first().waitFor();

  // Back in the log: first counted, then moved.
  await page.getByRole('button', { name: 'Move…' }).click();
  await dialog.getByLabel(/To an age/).fill('earliest');
  await dialog.getByRole('button', { name: 'Count' }).click();
  await dialog.getByText('300 events would be delivered again.').waitFor();
  const before = receiver.taken.length;
  check('counting sent nothing', receiver.taken.length === before);
  await sound(page, 'the move');
  await dialog.getByRole('button', { name: 'Move' }).click();
  await dialog.getByText(/was moved from position 300 to 0/).waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await page.locator('dd', { hasText: /^600$/ }).waitFor();
  check('and then they come again', receiver.taken.length > before);

  await page.getByRole('button', { name: 'New secret…' }).click();
  await dialog.getByRole('button', { name: 'Make it' }).click();
  const secret = dialog.getByLabel(/The new secret/);
  check('a new secret is shown once', (await secret.inputValue()).startsWith('whsec_'));
  await dialog.getByRole('button', { name: 'Close' }).click();

  await letters(page, daemon, receiver);
  await updates(page, daemon);
  await picture(page, 'overview');
  await away(page, daemon);
  await page.context().close();
  await daemon.kill();
}

/** Presses Tab until this has the focus. */
async function tabTo(page, name) {
  for (let presses = 0; presses < 60; presses += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((name) => document.activeElement.textContent.trim() === name, name)) return;
  }
  throw new Error(`Tab does not come to ${name}`);
}

/** What the receiver refuses is kept with its reason, and delivered once more when it takes it. */
async function letters(page, daemon, receiver) {
  receiver.set('/orders', (body) => (body.includes('refuse-me') ? 422 : 200), 'no such customer');
  await daemon.publish([{ type: 'order.placed', id: 'refuse-me' }]);
  await daemon.publish([{ type: 'order.placed', id: 'take-me' }]);
  const section = page.getByRole('region', { name: 'Dead letters' });
  await section.locator('summary', { hasText: 'refuse-me' }).click();
  await section.getByText('no such customer').first().waitFor();
  check('a dead letter says why', true);
  await sound(page, 'a dead letter');
  receiver.set('/orders', 200);
  await section.getByRole('button', { name: 'Deliver this once more' }).click();
  await page.getByText('1 delivered.').waitFor();
  await section.getByText('There are none').waitFor();
  check('and is delivered once more', receiver.taken.some(({ body }) => body.includes('refuse-me')));
}

/** A thousand events in many requests are told in a few updates, which the overview shows. */
async function updates(page, daemon) {
  await page.goto(`${daemon.url}/ui/#/`);
  await page.getByRole('heading', { name: '1 hook' }).waitFor();
  await page.evaluate(() => {
    window.updates = 0;
    window.begun = performance.now();
    new MutationObserver(() => { window.updates += 1; }).observe(document.querySelector('figure strong'), { childList: true, characterData: true });
  });
  for (let round = 0; round < 40; round += 1) await daemon.publish(Array.from({ length: 25 }, () => ({ type: 'order.placed' })));
  await page.locator('figure', { hasText: 'Delivered' }).locator('strong', { hasText: /^[1-9]/ }).waitFor();
  const { updates, seconds } = await page.evaluate(() => ({ updates: window.updates, seconds: (performance.now() - window.begun) / 1000 }));
  check('a thousand events are told in an update a second', updates <= 2 * seconds + 3, { updates, seconds });
  await page.locator('svg.chart path.line[d^=M]').first().waitFor({ state: 'attached' });
  check('the chart has samples', true);
}

/** A daemon that dies is said, and what it does when it is back is shown. */
async function away(page, daemon) {
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Hooks' }).click();
  const delivered = (count) => page.locator('tr[data-hook=orders] td[data-label=Delivered]', { hasText: count }).waitFor();
  // All that was published has arrived.
  await delivered(/^1,[6-9]/);
  await daemon.kill();
  await page.locator('#connection', { hasText: /does not answer|broke off/ }).waitFor();
  check('a daemon that is away is said, and what was shown stays', await page.getByRole('link', { name: 'orders' }).isVisible());
  await sound(page, 'a daemon that is away');
  await daemon.start();
  await page.locator('#connection:empty').waitFor({ state: 'attached' });
  await daemon.publish([{ type: 'order.placed' }]);
  // It counts anew, and what came just before the kill may come again.
  await delivered(/^[1-9]\d{0,2}$/);
  check('and what it does when it is back', true);
  await daemon.kill();
  await page.reload().catch(() => {});
  await daemon.start();
  await page.goto(`${daemon.url}/ui/#/hooks`);
  await page.getByRole('link', { name: 'orders' }).waitFor();
}
