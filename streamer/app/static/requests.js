// Requests to the app's own routes.
const addressOf = (...names) => ["analyses", ...names.map(encodeURIComponent)].join("/");

// What the server has against a request becomes an error, `refused`; one without that mark may be gone when it is asked again.
const request = async (address, options) => {
  const answer = await fetch(address, options).catch((error) => {
    throw error.name === "AbortError" ? error : new Error("the server does not answer");
  });
  if (!answer.ok) {
    const { error } = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(error || "the server does not answer"), { refused: answer.status < 500 });
  }
  return answer;
};

// Show a JPEG; it is let go of as soon as the image has decoded it.
const showJpeg = (image, jpeg) => {
  const address = URL.createObjectURL(jpeg);
  image.onload = image.onerror = () => URL.revokeObjectURL(address);
  image.src = address;
};
