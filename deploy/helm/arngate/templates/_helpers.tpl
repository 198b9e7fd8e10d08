{{/* The labels of every object. */}}
{{- define "arngate.labels" -}}
app.kubernetes.io/name: arngate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What a workload knows its pods by. */}}
{{- define "arngate.selector" -}}
app.kubernetes.io/name: arngate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "arngate.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{/* Whether the backend CRD is one of those asked. */}}
{{- define "arngate.usesCrd" -}}
{{- if has "CRD" (dig "server" "backendMode" (list) .Values.config) }}true{{ end -}}
{{- end }}

{{/* The configuration, with the places that the chart decides. */}}
{{- define "arngate.config" -}}
{{- $server := dict "stateDir" .Values.controlPlane.stateDir "generateKubeconfig" (printf "%s/kubeconfig.yaml" .Values.controlPlane.webhookDir) -}}
{{- if eq .Values.mode "development" -}}
{{- $server = dict "stateDir" "/var/aws-iam-authenticator" "address" "" "kubeconfigPregenerated" true "snapshotMaxAge" "0" -}}
{{- end -}}
{{- $own := dict "server" $server -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end }}

{{/* What the container may do, wherever it runs. */}}
{{- define "arngate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Arguments and variables of the server. */}}
{{- define "arngate.server" -}}
image: {{ include "arngate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - server
  - --config=/etc/aws-iam-authenticator/config.yaml
  - --log-format=json
  {{- with .Values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}
