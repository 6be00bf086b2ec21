// The document names no other host, and neither does this page: validatorUrl null keeps Swagger UI from asking one.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
