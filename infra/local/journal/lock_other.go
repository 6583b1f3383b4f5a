//go:build !unix

package journal

import (
	"fmt"
	"os"
	"path/filepath"
)

// lockDir does not keep a second process out where there is no flock.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return f, nil
}
