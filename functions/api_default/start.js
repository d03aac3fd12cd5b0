// The page only shows: it asks for no API key, and nothing is sent from it.
const nothing = () => () => null;
window.SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  plugins: [
    () => ({
      wrapComponents: { AuthorizeBtnContainer: nothing, authorizeOperationBtn: nothing },
    }),
  ],
  supportedSubmitMethods: [],
  validatorUrl: null,
});
