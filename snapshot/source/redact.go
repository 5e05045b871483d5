package source

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// Expressions are compiled when they are needed: every run of the resolver would wait for them.
var (
	urlUserinfo = lazyRegexp(`(?i)\b([a-z][a-z0-9+.-]*)://([^/?#\s"'@]*(?:@[^/?#\s"'@]*)*)@`)
	urlQuery    = lazyRegexp(`(?i)\b(https?://[^\s"'?#]+)\?[^\s"'#]+`)
)

func lazyRegexp(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// redact removes what may be secret from a text for a message: passwords in URLs, user names in web
// URLs (which are often tokens), the queries of those, and every one of secrets.
func redact(text string, secrets ...string) string {
	text = urlUserinfo().ReplaceAllStringFunc(text, func(match string) string {
		scheme, userinfo, _ := strings.Cut(match, "://")
		userinfo = strings.TrimSuffix(userinfo, "@")
		name, _, hasPassword := strings.Cut(userinfo, ":")
		switch {
		case strings.HasPrefix(strings.ToLower(scheme), "http"):
			return scheme + "://***@"
		case hasPassword:
			return scheme + "://" + name + ":***@"
		}
		return match
	})
	text = urlQuery().ReplaceAllString(text, "$1?***")
	for _, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if len(form) > 0 {
				text = strings.ReplaceAll(text, form, "***")
			}
		}
	}
	return text
}

// redactedError has the text of another error without secrets.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Unwrap() error { return e.err }

// redactError removes secrets from an error's text; what the error wraps can still be asked for.
func redactError(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := redact(err.Error(), secrets...)
	if text == err.Error() {
		return err
	}
	return &redactedError{text, err}
}
