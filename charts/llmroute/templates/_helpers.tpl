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
