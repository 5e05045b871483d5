// Etchtag publishes hourly snapshots of an etch server's configuration and decides which of them each
// client gets.
package main

import (
	"os"
	"time"
)

func main() {
	a := app{stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now, drop: dropPrivileges, own: true}
	os.Exit(a.run(os.Args))
}
