// Requests to the app's own routes.
const addressOf = (...names) => ["analyses", ...names.map(encodeURIComponent)].join("/");

// What the server has against a request becomes an error.
const request = async (address, options) => {
  const answer = await fetch(address, options).catch((error) => {
    throw error.name === "AbortError" ? error : new Error("the server does not answer");
  });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || "the server does not answer");
  return answer;
};

// Show a JPEG; it is let go of as soon as the image has decoded it.
const showJpeg = (image, jpeg) => {
  const address = URL.createObjectURL(jpeg);
  image.onload = image.onerror = () => URL.revokeObjectURL(address);
  image.src = address;
};
