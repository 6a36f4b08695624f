#!/usr/bin/env bash
# One Apache Kafka broker for the tests: a KRaft node on 127.0.0.1 from Maven's jars, needing Java 17 only.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: kafka.sh install DIR                                    fetch Kafka's jars with Maven (nothing to do when they are there)
       kafka.sh start DIR [PORT] [--secure]                    start a broker on 127.0.0.1:PORT (19092; the controller takes PORT+1);
                                                               --secure adds SASL_SSL on PORT+2 and SSL with client certificates on PORT+3
       kafka.sh start DIR PORT --relayed                       the same for clients on PORT+2, which it tells to come by PORT+3: a relay of theirs
       kafka.sh start DIR PORT --node N                        start the broker N of three, on PORT+10*(N-1); each has a DIR of its own, and the first two
                                                               that are started wait for each other
       kafka.sh status DIR                                     print the address of the running broker, or fail
       kafka.sh stop DIR
       kafka.sh create-topic DIR TOPIC PARTITIONS [KEY=VALUE]...   settings of the topic
       kafka.sh delete-records DIR TOPIC PARTITION OFFSET      drop what lies before OFFSET

With --secure the user is alice, the password only-for-these-tests (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512), OAUTHBEARER takes unsecured
tokens, and DIR/tls has the certificates: ca.pem, client.pem with client.key, and other-ca.pem, which signed nothing here.

KAFKA_LIBS names a directory with Kafka's jars, DIR/libs by default. Each start begins with empty data, except with KEEP=1. START_TIMEOUT (60) is in seconds. The log is DIR/server.log.
EOF
}

die() { echo "kafka.sh: $*" >&2; exit 1; }

pom=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/kafka-pom.xml
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$pom")
readonly password=only-for-these-tests
readonly cluster_id=MkU3OEVBNTcwNTJENDM2Qk

installed() { [ -e "$libs/kafka_2.13-$version.jar" ]; }

# A class from Kafka's jars, quiet but for errors.
tool() { java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$libs/*" "$@"; }

# The process id of this directory's broker; fails when none runs. The command line guards against a reused id.
running() {
  local pid
  pid=$(cat "$dir/pid" 2>/dev/null) && [ -e "/proc/$pid/cmdline" ] || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "kafka.Kafka $dir/server.properties" || return 1
  echo "$pid"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

address() { echo "127.0.0.1:$(cat "$dir/port")"; }

need_running() { running >/dev/null || die "no broker runs in $dir: kafka.sh start $dir"; }

install() {
  installed && return
  command -v mvn >/dev/null || die "Kafka's jars are missing in $libs and mvn was not found: run make setup"
  local fresh="$libs.$$"
  # A broken download must not look like an installation.
  trap 'rm -rf "$fresh"' RETURN
  echo "fetching Apache Kafka $version into $libs"
  mvn -B -q -f "$pom" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$fresh" </dev/null || die "Maven could not fetch Kafka's jars"
  rm -rf "$libs"
  mv "$fresh" "$libs"
}

# Certificates of a certificate authority of these tests, for the broker and for a client.
certificates() {
  local tls=$1 name
  rm -rf "$tls"
  mkdir -p "$tls"
  fresh() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 "$@" 2>"$tls/openssl.log" || die "openssl: $(cat "$tls/openssl.log")"; }
  for name in ca other-ca; do fresh -x509 -subj "/CN=driftgate-test-$name" -keyout "$tls/$name.key" -out "$tls/$name.pem"; done
  for name in broker client; do
    fresh -subj "/CN=$name" -keyout "$tls/$name.key" -out "$tls/$name.csr"
    openssl x509 -req -in "$tls/$name.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 3650 \
      -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost") -out "$tls/$name.pem" 2>"$tls/openssl.log" || die "openssl: $(cat "$tls/openssl.log")"
  done
  cat "$tls/broker.key" "$tls/broker.pem" >"$tls/broker-store.pem"
}

# Listeners that ask who is there.
secure() {
  local port=$1 jaas=org.apache.kafka.common.security mechanism
  sed -i -e "s|^listeners=.*|&,SASL_SSL://127.0.0.1:$((port + 2)),SSL://127.0.0.1:$((port + 3))|" \
    -e "s|^advertised.listeners=.*|&,SASL_SSL://127.0.0.1:$((port + 2)),SSL://127.0.0.1:$((port + 3))|" \
    -e "s|^listener.security.protocol.map=.*|&,SASL_SSL:SASL_SSL,SSL:SSL|" "$dir/server.properties"
  cat >>"$dir/server.properties" <<EOF
ssl.keystore.type=PEM
ssl.keystore.location=$dir/tls/broker-store.pem
ssl.truststore.type=PEM
ssl.truststore.location=$dir/tls/ca.pem
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl_ssl.plain.sasl.jaas.config=$jaas.plain.PlainLoginModule required user_alice="$password";
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=$jaas.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
EOF
  for mechanism in scram-sha-256 scram-sha-512; do
    echo "listener.name.sasl_ssl.$mechanism.sasl.jaas.config=$jaas.scram.ScramLoginModule required;" >>"$dir/server.properties"
    format+=(--add-scram "${mechanism^^}=[name=alice,password=$password]")
  done
}

# A listener whose clients are sent to another port, on which something stands between.
relayed() {
  local port=$1
  sed -i -e "s|^listeners=.*|&,RELAYED://127.0.0.1:$((port + 2))|" \
    -e "s|^advertised.listeners=.*|&,RELAYED://127.0.0.1:$((port + 3))|" \
    -e "s|^listener.security.protocol.map=.*|&,RELAYED:PLAINTEXT|" "$dir/server.properties"
}

# configure PORT [NODE BASE]: one broker, or one of three whose first listens on BASE.
configure() {
  local port=$1 node=${2:-1} base=${3:-$1} voters copies=1 in_sync=1
  voters="1@127.0.0.1:$((base + 1))"
  if [ $# -gt 1 ]; then
    voters+=",2@127.0.0.1:$((base + 11)),3@127.0.0.1:$((base + 21))"
    copies=3 in_sync=2
  fi
  cat >"$dir/server.properties" <<EOF
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$voters
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$dir/data
auto.create.topics.enable=false
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$in_sync
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.backoff.ms=500
EOF
}

start() {
  local port=19092 secure='' relayed='' node='' base pid deadline p ports format=()
  while [ $# -gt 0 ]; do
    case $1 in
      --secure) secure=1 ;;
      --relayed) relayed=1 ;;
      --node) node=${2:-}; shift; [[ $node =~ ^[123]$ ]] || die "--node is 1, 2 or 3" ;;
      *) port=$1 ;;
    esac
    shift
  done
  [[ $port =~ ^[0-9]+$ ]] || die "the port is not a number: '$port'"
  base=$port
  [ -z "$node" ] || port=$((base + 10 * (node - 1)))
  installed || die "Kafka is not in $libs: kafka.sh install $dir"
  if pid=$(running); then die "a broker already runs in $dir: process $pid, $(address)"; fi
  ports=("$port" "$((port + 1))")
  [ -z "$relayed" ] || ports+=("$((port + 2))")
  [ -z "$secure" ] || ports+=("$((port + 2))" "$((port + 3))")
  for p in "${ports[@]}"; do
    if listening "$p"; then die "port $p is taken: name another one, kafka.sh start $dir PORT"; fi
  done
  [ "${KEEP:-0}" = 1 ] || rm -rf "$dir/data"
  if [ -n "$node" ]; then configure "$port" "$node" "$base"; else configure "$port"; fi
  [ -z "$relayed" ] || relayed "$port"
  if [ -n "$secure" ]; then
    certificates "$dir/tls"
    secure "$port"
  fi
  tool kafka.tools.StorageTool format --ignore-formatted -t "$cluster_id" -c "$dir/server.properties" "${format[@]}" >"$dir/format.log" 2>&1 ||
    die "formatting the storage failed: $(tail -n 3 "$dir/format.log")"
  # A session of its own: the terminal's interrupt must not reach the broker before its users have stopped.
  setsid nohup java -Xms512m -Xmx512m -Dlog4j2.level=INFO -cp "$libs/*" kafka.Kafka "$dir/server.properties" \
    </dev/null >"$dir/server.log" 2>&1 &
  pid=$!
  echo "$pid" >"$dir/pid"
  echo "$port" >"$dir/port"

  deadline=$((SECONDS + ${START_TIMEOUT:-60}))
  until listening "$port"; do
    kill -0 "$pid" 2>/dev/null || { tail -n 20 "$dir/server.log" >&2; die "the broker ended while starting"; }
    [ "$SECONDS" -lt "$deadline" ] || { stop; die "the broker opened no port in time: see $dir/server.log"; }
    sleep 0.1
  done
  # An open port is not yet a working broker: ready is when it answers a metadata request.
  until tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --list >"$dir/ready.log" 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || { stop; die "the broker answered no request in time: see $dir/ready.log and $dir/server.log"; }
    sleep 0.2
  done
  address
}

stop() {
  local pid
  pid=$(running) || { rm -f "$dir/pid"; return 0; }
  kill "$pid"
  for _ in $(seq 150); do
    kill -0 "$pid" 2>/dev/null || { rm -f "$dir/pid"; return 0; }
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$dir/pid"
}

status() {
  need_running
  listening "$(cat "$dir/port")" || die "the broker in $dir does not listen"
  address
}

create_topic() {
  local topic=$1 partitions=$2 setting settings=()
  shift 2
  for setting in "$@"; do settings+=(--config "$setting"); done
  need_running
  tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$(address)" --create --topic "$topic" \
    --partitions "$partitions" --replication-factor 1 "${settings[@]}"
}

# The command reports a refused partition in its output only, and exits with 0.
delete_records() {
  local out
  need_running
  out=$(tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$(address)" --command-config <(printf "%s.timeout.ms=10000\n" request default.api) \
    --offset-json-file <(printf '{"version":1,"partitions":[{"topic":"%s","partition":%d,"offset":%d}]}' "$@") 2>&1) || die "$out"
  echo "$out" | grep "low_watermark:" || die "$out"
}

verb=${1:-}
if [ $# -lt 2 ]; then usage >&2; exit 2; fi
mkdir -p "$2"
dir=$(cd "$2" && pwd)
libs=${KAFKA_LIBS:-$dir/libs}
shift 2
case "$verb/$#" in
  install/0) install ;;
  start/[0-4]) start "$@" ;;
  stop/0) stop ;;
  status/0) status ;;
  create-topic/[2-9]) create_topic "$@" ;;
  delete-records/3) delete_records "$@" ;;
  *) usage >&2; exit 2 ;;
esac
