{{- /* Names are the same in every installation: sidecars, certificates and RBAC say them. */ -}}

{{- define "llmroute.labels" -}}
app.kubernetes.io/name: llmroute
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "llmroute.selector" -}}
app.kubernetes.io/name: llmroute
app.kubernetes.io/component: operator
{{- end }}

{{- /* The Secret of the certificates: another one where somebody else makes them, so that neither takes over the other's. */}}
{{- define "llmroute.tls" -}}
{{ if eq .Values.certificates.source "cert-manager" }}llmroute-issued-tls{{ else }}llmroute-tls{{ end }}
{{- end }}
