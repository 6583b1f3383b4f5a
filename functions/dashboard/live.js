// Pages work without this. It takes the page anew every half minute while somebody looks and nothing is being written.
"use strict";
const pause = 30000;

function busy() {
  const at = document.activeElement;
  const writes = [...document.querySelectorAll("main input:not([type=hidden]), main textarea, main select")].some((f) => f.value !== f.defaultValue && f.tagName !== "SELECT");
  return document.hidden || (at && at.closest("form")) || writes || String(getSelection()) !== "" || document.querySelector("main details[open]");
}

async function renew() {
  if (busy()) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const now = document.querySelector("main");
    if (!next || busy() || next.innerHTML === now.innerHTML) return;
    const path = document.activeElement && now.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    now.replaceChildren(...next.childNodes);
    if (path) {
      const again = [...now.querySelectorAll("a")].find((a) => a.getAttribute("href") === path);
      if (again) again.focus({ preventScroll: true });
    }
  } catch {
    // the handler is starting again; the next round asks once more
  }
}

setInterval(renew, pause);
