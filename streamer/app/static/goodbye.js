// Tells the server that the page is being closed, so that it frees all at once; a lost connection it notices by itself.
// Notes that nobody has downloaded and recordings that nobody has analysed are lost then: the browser asks first.
// halt: ask for nothing more, as what is asked of an analysis that is gone is an error.
const sayGoodbyeAs = (session, atRisk, halt) => {
  window.addEventListener("beforeunload", (event) => { if (atRisk()) event.preventDefault(); });
  window.addEventListener("pagehide", () => {
    halt();
    navigator.sendBeacon(`${addressOf(session)}/leave`);
  });
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) location.reload(); // the browser has kept the page, the server nothing
  });
};
