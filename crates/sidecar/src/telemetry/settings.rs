//! The standard `OTEL_*` variables: what is exported, where to, how; a value that cannot be used is an error that names it.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use hyper::{Uri, header::HeaderName};
use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

use super::sampler::Sampler;

/// Reads one variable of the environment.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How spans are exported.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) sampler: Sampler,
    pub(super) protocol: Protocol,
    /// The collector's URL; over HTTP with the path of traces.
    pub(super) endpoint: Uri,
    /// Bounds one export, tries included.
    pub(super) timeout: Duration,
    pub(super) batch: Batch,
    pub(super) resource: Resource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    Http,
}

/// The batch processor's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Spans that may wait.
    pub(super) queue: usize,
    /// Spans in one export.
    pub(super) size: usize,
    /// Between exports.
    pub(super) delay: Duration,
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// Where no variable names the service.
const SERVICE: &str = "llmroute-sidecar";

impl Settings {
    /// `None`: nothing is exported, since no endpoint is set or the variables say so.
    ///
    /// # Errors
    /// The first variable that cannot be used, and why.
    pub(super) fn read(env: Env<'_>) -> anyhow::Result<Option<Settings>> {
        // An empty variable is an unset one, says the specification.
        let var = |name: &str| env(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let sampler = Sampler::parse(var("OTEL_TRACES_SAMPLER").as_deref(), var("OTEL_TRACES_SAMPLER_ARG").as_deref())?;
        let either = |traces: &'static str, general: &'static str| {
            var(traces).map(|v| (traces, v)).or_else(|| var(general).map(|v| (general, v)))
        };
        let protocol = match either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") {
            None => Protocol::Http,
            Some((_, v)) if v == "http/protobuf" => Protocol::Http,
            Some((_, v)) if v == "grpc" => Protocol::Grpc,
            Some((name, v)) => bail!("{name}: `{v}` is not supported; use grpc or http/protobuf"),
        };
        let endpoint = endpoint(&var, protocol)?;
        headers(either("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"))?;
        compression(either("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"))?;
        let timeout = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
        let timeout = millis(timeout.as_ref().map(|(n, v)| (*n, v.as_str())), 10_000)?;
        let bsp = |name: &'static str, default| millis(var(name).as_deref().map(|v| (name, v)), default);
        let export = bsp("OTEL_BSP_EXPORT_TIMEOUT", 30_000)?;
        let batch = Batch {
            queue: count(&var, "OTEL_BSP_MAX_QUEUE_SIZE", 2_048)?,
            size: count(&var, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)?,
            delay: bsp("OTEL_BSP_SCHEDULE_DELAY", 5_000)?,
        };
        let resource = resource(&var)?;
        let on = match var("OTEL_TRACES_EXPORTER").as_deref() {
            None | Some("otlp") => true,
            Some("none") => false,
            Some(other) => bail!("OTEL_TRACES_EXPORTER: `{other}` is not supported; use otlp or none"),
        };
        let disabled = var("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let Some(endpoint) = endpoint.filter(|_| on && !disabled) else { return Ok(None) };
        Ok(Some(Settings { sampler, protocol, endpoint, timeout: timeout.min(export), batch, resource }))
    }
}

fn endpoint(var: Env<'_>, protocol: Protocol) -> anyhow::Result<Option<Uri>> {
    let (name, mut url) = match (var(TRACES_ENDPOINT), var(ENDPOINT)) {
        (Some(url), _) => (TRACES_ENDPOINT, url),
        (None, Some(url)) if protocol == Protocol::Http => {
            (ENDPOINT, format!("{}/v1/traces", url.trim_end_matches('/')))
        }
        (None, Some(url)) => (ENDPOINT, url),
        (None, None) => return Ok(None),
    };
    // Where gRPC is spoken a host and port alone are common; they mean TLS unless another variable says otherwise.
    if protocol == Protocol::Grpc && !url.contains("://") {
        let insecure = var("OTEL_EXPORTER_OTLP_TRACES_INSECURE").or_else(|| var("OTEL_EXPORTER_OTLP_INSECURE"));
        let plain = insecure.is_some_and(|v| v.eq_ignore_ascii_case("true"));
        url = format!("{}://{url}", if plain { "http" } else { "https" });
    }
    let uri: Uri = url.parse().ok().with_context(|| format!("{name}: not a URL; write http://host:port"))?;
    let usable = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|h| !h.is_empty());
    ensure!(usable, "{name}: not a URL of http or https; write http://host:port");
    ensure!(
        !uri.authority().is_some_and(|a| a.as_str().contains('@')),
        "{name}: credentials belong in the headers variable"
    );
    Ok(Some(uri))
}

/// The exporter reads them again and drops what it cannot use; here that is an error. Values stay unsaid: some are keys.
fn headers(set: Option<(&str, String)>) -> anyhow::Result<()> {
    let Some((name, list)) = set else { return Ok(()) };
    for (i, pair) in list.split(',').enumerate() {
        let key = pair.split_once('=').map(|(key, _)| key.trim());
        let good = key.is_some_and(|k| HeaderName::from_bytes(k.as_bytes()).is_ok());
        ensure!(good, "{name}: entry {} is not name=value", i + 1);
    }
    Ok(())
}

fn compression(set: Option<(&str, String)>) -> anyhow::Result<()> {
    match set {
        Some((name, v)) if v != "gzip" && v != "none" => bail!("{name}: `{v}` is not supported; use gzip or none"),
        _ => Ok(()),
    }
}

fn millis(set: Option<(&str, &str)>, default: u64) -> anyhow::Result<Duration> {
    let Some((name, v)) = set else { return Ok(Duration::from_millis(default)) };
    let ms: u32 = v.parse().ok().with_context(|| format!("{name}: `{v}` is not a whole number of milliseconds"))?;
    Ok(Duration::from_millis(ms.into()))
}

fn count(var: Env<'_>, name: &str, default: usize) -> anyhow::Result<usize> {
    let Some(v) = var(name) else { return Ok(default) };
    let n = v.parse().ok().filter(|n| (1..=1_000_000).contains(n));
    n.with_context(|| format!("{name}: `{v}` is not a whole number from 1 to 1000000"))
}

fn resource(var: Env<'_>) -> anyhow::Result<Resource> {
    let mut names_service = false;
    for pair in var("OTEL_RESOURCE_ATTRIBUTES").iter().flat_map(|list| list.split(',')).filter(|p| !p.trim().is_empty())
    {
        let (key, _) = pair
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .with_context(|| format!("OTEL_RESOURCE_ATTRIBUTES: `{pair}` is not key=value"))?;
        names_service |= key.trim() == "service.name";
    }
    // The SDK's own detectors read the variables.
    let builder = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    let named = names_service || var("OTEL_SERVICE_NAME").is_some();
    Ok(if named { builder.build() } else { builder.with_service_name(SERVICE).build() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> anyhow::Result<Option<Settings>> {
        Settings::read(&|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    const HERE: (&str, &str) = (ENDPOINT, "http://c:4318");

    #[test]
    fn nothing_is_exported_unless_asked() {
        for vars in [
            &[][..],
            &[(ENDPOINT, " ")],
            &[HERE, ("OTEL_SDK_DISABLED", "true")],
            &[HERE, ("OTEL_TRACES_EXPORTER", "none")],
            &[("OTEL_TRACES_EXPORTER", "otlp")],
        ] {
            assert!(read(vars).unwrap().is_none(), "{vars:?}");
        }
        assert!(read(&[HERE, ("OTEL_SDK_DISABLED", "false"), ("OTEL_TRACES_EXPORTER", "otlp")]).unwrap().is_some());
    }

    #[test]
    fn where_to() {
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        for (vars, want) in [
            (&[HERE][..], "http://c:4318/v1/traces"),
            (&[(ENDPOINT, "http://c:4318/up/")], "http://c:4318/up/v1/traces"),
            (&[HERE, (TRACES_ENDPOINT, "https://d/x")], "https://d/x"),
            (&[(ENDPOINT, "http://c:4317"), grpc], "http://c:4317/"),
            (&[(ENDPOINT, "c:4317"), grpc], "https://c:4317/"),
            (&[(ENDPOINT, "c:4317"), grpc, ("OTEL_EXPORTER_OTLP_INSECURE", "true")], "http://c:4317/"),
        ] {
            assert_eq!(read(vars).unwrap().unwrap().endpoint.to_string(), want, "{vars:?}");
        }
        let both = read(&[HERE, grpc, ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")]).unwrap().unwrap();
        assert_eq!(both.protocol, Protocol::Http);
    }

    #[test]
    fn bounds_and_names() {
        let s = read(&[HERE]).unwrap().unwrap();
        assert_eq!(s.batch, Batch { queue: 2_048, size: 512, delay: Duration::from_secs(5) });
        assert_eq!(s.timeout, Duration::from_secs(10));
        let name = |s: &Settings| s.resource.get(&"service.name".into()).map(|v| v.to_string());
        assert_eq!(name(&s).as_deref(), Some(SERVICE));
        let s = read(&[HERE, ("OTEL_BSP_MAX_QUEUE_SIZE", "7"), ("OTEL_BSP_EXPORT_TIMEOUT", "300")]).unwrap().unwrap();
        assert_eq!((s.batch.queue, s.timeout), (7, Duration::from_millis(300)));
    }

    #[test]
    fn what_cannot_be_used_is_named_and_no_key_is_said() {
        for (name, value) in [
            (ENDPOINT, "collector"),
            (ENDPOINT, "ftp://c"),
            (ENDPOINT, "http://me:secret@c"),
            (TRACES_ENDPOINT, "http://"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "thrift"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=1,secret"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_TRACES_EXPORTER", "jaeger"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many"),
            ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c"),
        ] {
            let why = format!("{:#}", read(&[(name, value)]).unwrap_err());
            assert!(why.contains(name) && !why.contains("secret"), "{name}={value}: {why}");
        }
    }
}
