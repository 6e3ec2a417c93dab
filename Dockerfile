# The images of `make images`, for those who have Docker: docker build --target sidecar --tag llmroute.dev/sidecar:dev .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN make static && mkdir /out && cp target/*/release/llmroute-sidecar target/*/release/llmroute-sim /out/

FROM scratch AS sim
COPY --from=build /out/llmroute-sim /
USER 65532:65532
ENTRYPOINT ["/llmroute-sim"]

FROM scratch AS sidecar
COPY --from=build /out/llmroute-sidecar /
USER 65532:65532
ENTRYPOINT ["/llmroute-sidecar"]
