package remote

import (
	"fmt"
	"os"
	"strings"
)

// Auth says how to prove to a server who we are, and which servers to trust. All are paths but
// Username; the files are read whenever a connection is made, so that they can be renewed.
type Auth struct {
	SSHKey       string // a private key without passphrase; empty: those that ssh finds
	KnownHosts   string // empty: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
	Username     string // for http, svn and cvs's pserver; empty: the one in the URL
	PasswordFile string // for these: holds a password
	TokenFile    string // for git over http: holds a token, which is sent as the password
	CAFile       string // for https: certificates in PEM that are trusted besides the system's
}

// ReadSecret reads a file that holds one secret, on its first line.
func ReadSecret(what, file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the %s file: %w", what, err)
	}
	secret, _, _ := strings.Cut(string(data), "\n")
	secret = strings.TrimRight(secret, "\r")
	if secret == "" {
		return "", fmt.Errorf("the %s file %q is empty", what, file)
	}
	return secret, nil
}
