// Tells the server that the page is there, and that it is being closed, so that it frees all at once.
// Notes that nobody has downloaded and recordings that nobody has analysed are lost then: the browser asks first.
// halt: ask for nothing more, as what is asked of an analysis that is gone is an error.
// onBack: told that the server hears this page, for the first time or again.
const REOPEN_MS = 2000;

const bePresentAs = (session, atRisk, halt, onBack) => {
  let here = null, leaving = false;
  const open = () => {
    here = new EventSource(`${addressOf(session)}/presence`); // comes back by itself, unless it was refused
    here.onopen = onBack;
    here.onerror = () => {
      if (here.readyState === EventSource.CLOSED && !leaving) setTimeout(open, REOPEN_MS);
    };
  };
  open();
  window.addEventListener("beforeunload", (event) => { if (atRisk()) event.preventDefault(); });
  window.addEventListener("pagehide", () => {
    leaving = true;
    here.close();
    halt();
    navigator.sendBeacon(`${addressOf(session)}/leave`);
  });
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) location.reload(); // the browser has kept the page, the server nothing
  });
};
