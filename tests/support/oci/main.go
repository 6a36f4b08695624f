// A registry of OCI artifacts in memory that lists what refers to a manifest, for tests: registry ADDRESS.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	server := http.Server{Addr: os.Args[1], Handler: registry.New(registry.WithReferrersSupport(true)), ReadHeaderTimeout: time.Minute}
	log.Fatal(server.ListenAndServe())
}
