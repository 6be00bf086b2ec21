// The document names no other host, and neither does this page: validatorUrl null keeps Swagger UI from asking one.
const EXAMPLE_KEY = "a-new-key-for-each-request";
const signed = document.getElementById("signed");

// A request made from here is made once: its example key becomes one that nobody used before.
function before(request) {
  if (request.headers["Idempotency-Key"] === EXAMPLE_KEY) {
    const random = crypto.getRandomValues(new Uint8Array(16));
    request.headers["Idempotency-Key"] = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  return request;
}

// Signing in here signs this page in, until it is closed.
function after(response) {
  if (response.ok && /\/auth\/(login|refresh)$/.test(new URL(response.url).pathname)) {
    ui.preauthorizeApiKey("bearer", response.body.access_token);
    signed.textContent = "signed in";
    signed.className = "yes";
  }
  return response;
}

let ui;
fetch("/openapi.json").then((answer) => answer.json()).then((spec) => {
  // Calls go to whoever served this page, by whatever name it was reached.
  spec.servers = [{ url: location.origin }];
  ui = SwaggerUIBundle({
    spec,
    dom_id: "#api",
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: -1,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    persistAuthorization: false,
    requestSnippetsEnabled: false,
    requestInterceptor: before,
    responseInterceptor: after,
  });
});
