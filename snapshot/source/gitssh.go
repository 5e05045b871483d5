package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// sshSession is a conversation with git-upload-pack on an ssh server.
type sshSession struct {
	streamSession
	process *sshProcess
	server  sshTarget
}

// dialSSH runs git-upload-pack on an ssh server.
func dialSSH(auth Auth, u gitURL) (packSession, error) {
	if u.password != "" {
		return nil, errors.New("the URL has a password, which ssh does not take: use a key")
	}
	server := sshTarget{auth, u.user, u.host, u.port}
	p, err := server.start(uploadPack + " " + shellQuote(u.path))
	if err != nil {
		return nil, err
	}
	return &sshSession{streamSession{conn: p}, p, server}, nil
}

func (s *sshSession) advertised(ctx context.Context) (*advertisement, error) {
	adv, err := s.streamSession.advertised(ctx)
	if (errors.Is(err, errNoAnswer) || errors.Is(err, errHalfAnswer)) && s.process.over() {
		if said := s.process.words(); said != "" {
			err = fmt.Errorf("%w; it says: %s", err, said)
		}
	}
	return adv, s.server.explain(ctx, err)
}

func (s *sshSession) uploadPack(ctx context.Context, request []byte) (io.ReadCloser, error) {
	answer, err := s.streamSession.uploadPack(ctx, request)
	if errors.Is(err, syscall.EPIPE) {
		err = cmp.Or(s.process.failure(), err)
	}
	return answer, err
}
