// Shared by the pages: parameters in, events out.
'use strict';

const parameters = JSON.parse(new URLSearchParams(location.search).get('parameters') || '{}');

// Events reach the test in the order of the calls.
let posting = Promise.resolve();
function report(event, details = {}) {
  const body = JSON.stringify({ event, ...details });
  posting = posting.then(() => fetch('/event', { method: 'POST', body })).catch(() => {});
}

window.addEventListener('error', (e) => report('error', { message: String(e.message) }));
window.addEventListener('unhandledrejection', (e) => report('error', { message: String(e.reason) }));

// Runs the test's commands one after the other: each is a name in `commands` and an argument.
async function obey(commands) {
  for (;;) {
    const list = await (await fetch('/commands')).json();
    for (const { id, name, argument } of list) {
      try {
        report('done', { id, result: (await commands[name](argument)) ?? null });
      } catch (e) {
        report('error', { id, message: String(e) });
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
