{{- define "driftgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "driftgate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "driftgate.selector" -}}
app.kubernetes.io/name: {{ include "driftgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "driftgate.labels" -}}
{{ include "driftgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "driftgate.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "driftgate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "driftgate.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- /* The daemon's configuration: what the chart knows, and over it what the values say. */ -}}
{{- define "driftgate.config" -}}
{{- $policies := list -}}
{{- if .Values.policies -}}{{- $policies = append $policies "/etc/driftgate/policies/*.yaml" -}}{{- end -}}
{{- if .Values.existingPolicies -}}{{- $policies = append $policies "/etc/driftgate/existing-policies/*.yaml" -}}{{- end -}}
{{- if not (or $policies (hasKey .Values.config "policies")) -}}
{{- fail "no policy: put at least one under `policies`, or name the ConfigMap that holds them as `existingPolicies`" -}}
{{- end -}}
{{- $http := dict "listen" (printf "0.0.0.0:%d" (int .Values.service.port)) -}}
{{- if .Values.tokens.existingSecret -}}{{- $_ := set $http "tokens_file" "/run/secrets/driftgate/tokens/tokens" -}}{{- end -}}
{{- $config := dict
  "policies" $policies
  "registry" (dict "embedded" (dict "path" "/var/lib/driftgate/registry/registry.db"))
  "state" (dict "path" "/var/lib/driftgate/state")
  "http" $http -}}
{{- if .Values.cluster.enabled -}}
{{- $address := printf "http://${HOSTNAME}.%s-peers.%s.svc:%d" (include "driftgate.fullname" .) .Release.Namespace (int .Values.service.port) -}}
{{- $own := dict "instance" "${HOSTNAME}" "advertise" $address "audit_key" "/run/secrets/driftgate/audit-key/key" -}}
{{- $_ := set $config "cluster" (mergeOverwrite $own (deepCopy .Values.cluster.options)) -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{- define "driftgate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "driftgate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "driftgate.env" -}}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "driftgate.volumeMounts" -}}
- {name: config, mountPath: /etc/driftgate/driftgate.yaml, subPath: driftgate.yaml, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if .Values.policies }}
- {name: policies, mountPath: /etc/driftgate/policies, readOnly: true}
{{- end }}
{{- if .Values.existingPolicies }}
- {name: existing-policies, mountPath: /etc/driftgate/existing-policies, readOnly: true}
{{- end }}
{{- if .Values.tokens.existingSecret }}
- {name: tokens, mountPath: /run/secrets/driftgate/tokens, readOnly: true}
{{- end }}
{{- if .Values.cluster.enabled }}
- {name: audit-key, mountPath: /run/secrets/driftgate/audit-key, readOnly: true}
{{- end }}
{{- range $i, $mount := .Values.mounts }}
- {name: mount-{{ $i }}, mountPath: {{ required "mounts[]: each needs a `path`" $mount.path | quote }}, readOnly: true}
{{- end }}
{{- end -}}

{{- /* The volumes of a pod, of `root` (the chart's context) and the names of the ConfigMaps with the configuration and the policies. */ -}}
{{- define "driftgate.volumes" -}}
{{- $maps := . -}}
{{- with .root -}}
- {name: config, configMap: {name: {{ $maps.config }}}}
- {name: tmp, emptyDir: {}}
{{- if .Values.policies }}
- {name: policies, configMap: {name: {{ $maps.policies }}}}
{{- end }}
{{- with .Values.existingPolicies }}
- {name: existing-policies, configMap: {name: {{ . }}}}
{{- end }}
{{- with .Values.tokens.existingSecret }}
- {name: tokens, secret: {secretName: {{ . }}, defaultMode: 0440}}
{{- end }}
{{- if .Values.cluster.enabled }}
- {name: audit-key, secret: {secretName: {{ required "cluster.auditKey.existingSecret: name the secret whose key `key` is the audit log's key, the same for all processes" .Values.cluster.auditKey.existingSecret }}, defaultMode: 0440}}
{{- end }}
{{- range $i, $mount := .Values.mounts }}
{{- if $mount.secret }}
- {name: mount-{{ $i }}, secret: {secretName: {{ $mount.secret }}, defaultMode: 0440}}
{{- else }}
- {name: mount-{{ $i }}, configMap: {name: {{ required "mounts[]: each needs a `secret` or a `configMap`" $mount.configMap }}}}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
