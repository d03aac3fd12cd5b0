"""HTTP APIs: routes to functions, a bounded rate and an access log without contents."""

import hashlib
import json

from aws_cdk import Duration, Stack, Tags
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from constructs import Construct

from stacks.constructs.function import FarthingFunction, log_group
from stacks.stage import StageConfig

# API Gateway's own default quota per account and region; raising it is a change in both places.
RATE_LIMIT = 10_000
BURST_LIMIT = 5_000
DEFAULT_STAGE = "$default"
DEFAULT_ROUTE = "$default"
# The route, never the path or the query: someone may have put a card number there.
ACCESS_LOG = {
    "requestId": "$context.requestId",
    "time": "$context.requestTime",
    "ip": "$context.identity.sourceIp",
    "route": "$context.routeKey",
    "status": "$context.status",
    "error": "$context.error.message",
    "latencyMs": "$context.responseLatency",
    "integrationLatencyMs": "$context.integrationLatency",
}
# What pages may send and read beside a form and an object. Source: what Stripe answers to pages.
PAGES_SEND = ["authorization", "content-type", "idempotency-key", "stripe-version"]
PAGES_READ = ["idempotent-replayed", "request-id", "retry-after", "stripe-should-retry"]


class FarthingApi(Construct):
    """An HTTP API with one stage and an integration per function.

    The functions authenticate: an HTTP API's authorizer cannot answer with Stripe's error object.

    Args: local_name: makes the API's id in the local stage. serves_pages: of any origin.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: StageConfig,
        local_name: str,
        serves_pages: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        self._stage = stage
        self._integrations: dict[str, integrations.HttpLambdaIntegration] = {}
        self.api = gateway.HttpApi(
            self,
            "Api",
            create_default_stage=False,
            cors_preflight=_for_pages() if serves_pages else None,
        )
        if stage.is_local:
            self._fix_id(local_name)
        default_stage = gateway.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name=DEFAULT_STAGE,
            auto_deploy=True,
            throttle=gateway.ThrottleSettings(rate_limit=RATE_LIMIT, burst_limit=BURST_LIMIT),
        )
        resource = default_stage.node.default_child
        if not isinstance(resource, gateway.CfnStage):
            raise TypeError("an HttpStage holds a CfnStage")
        resource.access_log_settings = gateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=log_group(self, "AccessLog", stage).log_group_arn,
            format=json.dumps(ACCESS_LOG),
        )

    def _fix_id(self, local_name: str) -> None:
        """Names the API's id to the emulator, so that addresses outlive its state."""
        name = f"farthing-{Stack.of(self).region}-{local_name}"
        Tags.of(self.api).add("ms-custom-id", hashlib.sha256(name.encode()).hexdigest()[:8])

    def route(self, function: FarthingFunction, *keys: str) -> None:
        """Routes to a function.

        Args: keys: such as "POST /v1/tokens", "ANY /v1/refunds/{proxy+}" or "$default".
        """
        if function.name not in self._integrations:
            self._integrations[function.name] = integrations.HttpLambdaIntegration(
                function.node.id, function.function
            )
        for key in keys:
            method, _, path = key.partition(" ")
            route_key = (
                gateway.HttpRouteKey.DEFAULT
                if key == DEFAULT_ROUTE
                else gateway.HttpRouteKey.with_(path, gateway.HttpMethod[method])
            )
            gateway.HttpRoute(
                self,
                key,
                http_api=self.api,
                route_key=route_key,
                integration=self._integrations[function.name],
            )

    @property
    def base_url(self) -> str:
        """Where the API answers, without a trailing slash."""
        if self._stage.is_local:
            # The emulator's own host names do not resolve without a name server of its own.
            port, api_id = self._stage.ministack_port, self.api.api_id
            return f"http://127.0.0.1:{port}/_aws/execute-api/{api_id}/{DEFAULT_STAGE}"
        return self.api.api_endpoint


def _for_pages() -> gateway.CorsPreflightOptions:
    """Lets pages of any origin ask: they bring their key, and no cookie that could be misused."""
    return gateway.CorsPreflightOptions(
        allow_origins=["*"],
        allow_methods=[gateway.CorsHttpMethod.GET, gateway.CorsHttpMethod.POST],
        allow_headers=PAGES_SEND,
        expose_headers=PAGES_READ,
        max_age=Duration.minutes(5),
    )
