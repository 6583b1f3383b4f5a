package main

import (
	"archive/zip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// pack lays out what ships and zips it, for Linux on an architecture, wherever it is built. The same source gives the
// same bytes: names are sorted, times fixed, bits set.
func pack(ctx context.Context, root, dist, arch string) error {
	if !filepath.IsAbs(dist) {
		dist = filepath.Join(root, dist)
	}
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	if err := layOut(ctx, root, dist, "GOOS=linux", "GOARCH="+arch); err != nil {
		return err
	}
	return zipUp(dist, dist+".zip")
}

func zipUp(dir, to string) error {
	files, err := filesIn(dir)
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	z := zip.NewWriter(out)
	for _, name := range files {
		if err := add(z, dir, name); err != nil {
			return fmt.Errorf("zip %s: %w", name, err)
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return out.Close()
}

func filesIn(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, filepath.ToSlash(name))
		return err
	})
	slices.Sort(files)
	return files, err
}

func add(z *zip.Writer, dir, name string) error {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)}
	h.SetMode(0o644)
	if name == "handler" {
		h.SetMode(0o755)
	}
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	in, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(w, in)
	return err
}
