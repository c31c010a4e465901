# Two images from one build: `--target schemawave-runner` is what runs inside pods, `--target schemawave` everything.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/ ./cmd/schemawave ./cmd/schemawave-runner

FROM scratch AS schemawave-runner
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/schemawave-runner /schemawave-runner
USER 65532:65532
ENTRYPOINT ["/schemawave-runner"]

FROM scratch AS schemawave
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/schemawave /schemawave
USER 65532:65532
ENTRYPOINT ["/schemawave"]
