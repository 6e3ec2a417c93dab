//! Names of span attributes: the GenAI conventions as they stand now (semantic-conventions-genai 1.43, development) and
//! the stable HTTP ones, all in one place because the former still move.

/// The conventions' schema.
pub(super) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/gen-ai/1.42.0";

pub(super) const OPERATION_NAME: &str = "gen_ai.operation.name";
pub(super) const PROVIDER_NAME: &str = "gen_ai.provider.name";
pub(super) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(super) const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub(super) const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
pub(super) const RESPONSE_FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
pub(super) const RESPONSE_TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// All input, cached and cache-written included.
pub(super) const USAGE_INPUT: &str = "gen_ai.usage.input_tokens";
pub(super) const USAGE_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
pub(super) const USAGE_CACHE_WRITE: &str = "gen_ai.usage.cache_write.input_tokens";
/// Reasoning included.
pub(super) const USAGE_OUTPUT: &str = "gen_ai.usage.output_tokens";

pub(super) const HTTP_METHOD: &str = "http.request.method";
pub(super) const HTTP_RESEND_COUNT: &str = "http.request.resend_count";
pub(super) const HTTP_STATUS: &str = "http.response.status_code";
pub(super) const HTTP_ROUTE: &str = "http.route";
pub(super) const URL_PATH: &str = "url.path";
pub(super) const URL_SCHEME: &str = "url.scheme";
pub(super) const URL_FULL: &str = "url.full";
pub(super) const SERVER_ADDRESS: &str = "server.address";
pub(super) const SERVER_PORT: &str = "server.port";
pub(super) const ERROR_TYPE: &str = "error.type";

pub(super) const STATUS: &str = "llmroute.status";
pub(super) const REASON: &str = "llmroute.reason";
pub(super) const DETAIL: &str = "llmroute.detail";
pub(super) const POLICY: &str = "llmroute.policy";
pub(super) const SCENE: &str = "llmroute.scene";
pub(super) const SCENE_BY: &str = "llmroute.scene.by";
pub(super) const TIER: &str = "llmroute.tier";
pub(super) const TIER_BY: &str = "llmroute.tier.by";
pub(super) const PROVIDER: &str = "llmroute.provider";
pub(super) const MODEL: &str = "llmroute.model";
pub(super) const REQUESTED_MODEL: &str = "llmroute.requested_model";
pub(super) const ATTEMPTS: &str = "llmroute.attempts";
pub(super) const CLASS: &str = "llmroute.class";
pub(super) const COST_USD: &str = "llmroute.cost_usd";
pub(super) const DROPPED: &str = "llmroute.dropped";
pub(super) const CLIENT_GONE: &str = "llmroute.client_gone";

/// Events on the GenAI span (on the server span of calls that have none).
pub(super) const EVENT_CLASSIFIED: &str = "llmroute.classified";
pub(super) const EVENT_LEFT_OUT: &str = "llmroute.left_out";
pub(super) const EVENT_FAILED: &str = "llmroute.attempt_failed";
