package client

import (
	"encoding/base64"
	"slices"
	"strings"

	"throughline/shared/github/scan"
	"throughline/shared/graph"
)

// readStatement takes commit, workflow and run from the statement that the bundle signs. The statement is data of the
// workflow; which repository it was is not read from it.
func readStatement(bundle []byte, e *graph.Evidence) {
	payload := ""
	c := scan.New(bundle)
	for c.Object(); c.Field(); {
		if string(c.Key()) == "dsseEnvelope" {
			for c.Object(); c.Field(); {
				if string(c.Key()) == "payload" {
					payload = c.String()
				}
			}
		}
	}
	raw, err := base64.StdEncoding.DecodeString(payload)
	if c.End() != nil || err != nil || len(raw) == 0 {
		e.Note += "; its statement cannot be read"
		return
	}
	s := statement{}
	if err := s.read(raw); err != nil {
		e.Note += "; its statement cannot be read"
		return
	}
	if !s.covers(e.Digest) {
		e.Note += "; its statement is about another image"
		return
	}
	e.Commit, e.Ref, e.Workflow, e.Run = s.commit, s.ref, s.workflow, s.run
}

// statement is what an in-toto statement of SLSA provenance says of a build.
type statement struct {
	subjects                   []string
	commit, ref, workflow, run string
}

func (s *statement) covers(d graph.Digest) bool {
	return slices.Contains(s.subjects, strings.TrimPrefix(string(d), "sha256:"))
}

func (s *statement) read(raw []byte) error {
	c := scan.New(raw)
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "subject":
			s.readSubjects(c)
		case "predicate":
			for c.Object(); c.Field(); {
				switch string(c.Key()) {
				case "buildDefinition":
					s.readDefinition(c)
				case "runDetails":
					s.run = readInvocation(c)
				}
			}
		}
	}
	return c.End()
}

func (s *statement) readSubjects(c *scan.Cursor) {
	for c.Array(); c.Element(); {
		for c.Object(); c.Field(); {
			if string(c.Key()) != "digest" {
				continue
			}
			for c.Object(); c.Field(); {
				if string(c.Key()) == "sha256" {
					s.subjects = append(s.subjects, strings.ToLower(c.String()))
				}
			}
		}
	}
}

func (s *statement) readDefinition(c *scan.Cursor) {
	for c.Object(); c.Field(); {
		switch string(c.Key()) {
		case "externalParameters":
			for c.Object(); c.Field(); {
				if string(c.Key()) != "workflow" {
					continue
				}
				for c.Object(); c.Field(); {
					switch string(c.Key()) {
					case "ref":
						s.ref = c.String()
					case "path":
						s.workflow = c.String()
					}
				}
			}
		case "resolvedDependencies":
			for c.Array(); c.Element(); {
				if commit := readCommit(c); s.commit == "" {
					s.commit = commit
				}
			}
		}
	}
}

// readCommit is the Git commit of a resolved dependency; the first is the source.
func readCommit(c *scan.Cursor) string {
	commit := ""
	for c.Object(); c.Field(); {
		if string(c.Key()) != "digest" {
			continue
		}
		for c.Object(); c.Field(); {
			if key := string(c.Key()); key == "gitCommit" || key == "sha1" {
				commit = c.String()
			}
		}
	}
	return commit
}

func readInvocation(c *scan.Cursor) string {
	run := ""
	for c.Object(); c.Field(); {
		if string(c.Key()) != "metadata" {
			continue
		}
		for c.Object(); c.Field(); {
			if string(c.Key()) == "invocationId" {
				run = c.String()
			}
		}
	}
	return run
}
