package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
)

const (
	filePragmas = `PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000;
		PRAGMA cache_size=-32768; PRAGMA wal_autocheckpoint=2000;`
	readPragmas   = `PRAGMA busy_timeout=10000; PRAGMA query_only=ON; PRAGMA cache_size=-16384; PRAGMA mmap_size=268435456;`
	memoryPragmas = `PRAGMA page_size=8192; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY;`
)

// schema: documents lie in the order of their key, so that a partition is one stretch of the file. rid is the number of
// the creation and never changes; lsn is the number of the last write. expires is a Unix time, NULL for never.
const schema = `
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), lsn INTEGER NOT NULL);
INSERT OR IGNORE INTO clock VALUES (1, 0);
CREATE TABLE IF NOT EXISTS resources (kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
	container INTEGER, partition TEXT, id TEXT,
	rid INTEGER NOT NULL, lsn INTEGER NOT NULL, etag TEXT NOT NULL, time INTEGER NOT NULL, expires INTEGER, body TEXT NOT NULL,
	PRIMARY KEY (container, partition, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_by_creation ON documents (container, rid);
CREATE INDEX IF NOT EXISTS documents_by_change ON documents (container, lsn);
CREATE INDEX IF NOT EXISTS documents_by_expiry ON documents (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS uniques (container INTEGER, partition TEXT, value TEXT, id TEXT NOT NULL,
	PRIMARY KEY (container, partition, value)) WITHOUT ROWID;
`

const columns = `container, partition, id, rid, lsn, etag, time, ifnull(expires, 0), body`

// conn is one SQLite connection with every statement prepared once. One goroutine uses it at a time.
type conn struct {
	raw   driver.Conn
	stmts []driver.Stmt

	begin, commit, rollback                           driver.Stmt
	getClock, setClock                                driver.Stmt
	get, put, remove, removeContainer                 driver.Stmt
	scanPartition, scanPrefix, scanCreated, scanMoved driver.Stmt
	scanExpired, lastChange, countContainer           driver.Stmt
	resources, setResource, removeResource            driver.Stmt
	getUnique, putUnique, removeUnique                driver.Stmt
	removeUniques                                     driver.Stmt
}

func (c *conn) prepare() error {
	for _, s := range []struct {
		to  *driver.Stmt
		sql string
	}{
		{&c.begin, `BEGIN IMMEDIATE`},
		{&c.commit, `COMMIT`},
		{&c.rollback, `ROLLBACK`},
		{&c.getClock, `SELECT lsn FROM clock`},
		{&c.setClock, `UPDATE clock SET lsn = ?`},
		{&c.get, `SELECT ` + columns + ` FROM documents WHERE container = ? AND partition = ? AND id = ?`},
		{&c.put, `INSERT INTO documents (container, partition, id, rid, lsn, etag, time, expires, body) VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, 0), ?)
			ON CONFLICT DO UPDATE SET lsn = excluded.lsn, etag = excluded.etag, time = excluded.time, expires = excluded.expires, body = excluded.body`},
		{&c.remove, `DELETE FROM documents WHERE container = ? AND partition = ? AND id = ?`},
		{&c.removeContainer, `DELETE FROM documents WHERE container = ?`},
		{&c.scanPartition, `SELECT ` + columns + ` FROM documents WHERE container = ? AND partition = ? AND id > ? ORDER BY id LIMIT ?`},
		{&c.scanPrefix, `SELECT ` + columns + ` FROM documents WHERE container = ? AND (partition, id) > (?, ?) AND partition < ? ORDER BY partition, id LIMIT ?`},
		{&c.scanCreated, `SELECT ` + columns + ` FROM documents WHERE container = ? AND rid > ? ORDER BY rid LIMIT ?`},
		{&c.scanMoved, `SELECT ` + columns + ` FROM documents WHERE container = ? AND lsn > ? ORDER BY lsn LIMIT ?`},
		{&c.scanExpired, `SELECT ` + columns + ` FROM documents WHERE expires <= ? ORDER BY expires LIMIT ?`},
		{&c.lastChange, `SELECT ifnull(max(lsn), 0) FROM documents WHERE container = ?`},
		{&c.countContainer, `SELECT count(*) FROM documents WHERE container = ?`},
		{&c.resources, `SELECT kind, name, body FROM resources ORDER BY kind, name`},
		{&c.setResource, `INSERT OR REPLACE INTO resources VALUES (?, ?, ?)`},
		{&c.removeResource, `DELETE FROM resources WHERE kind = ? AND name = ?`},
		{&c.getUnique, `SELECT id FROM uniques WHERE container = ? AND partition = ? AND value = ?`},
		{&c.putUnique, `INSERT OR REPLACE INTO uniques VALUES (?, ?, ?, ?)`},
		{&c.removeUnique, `DELETE FROM uniques WHERE container = ? AND partition = ? AND value = ?`},
		{&c.removeUniques, `DELETE FROM uniques WHERE container = ?`},
	} {
		stmt, err := c.raw.Prepare(s.sql)
		if err != nil {
			return err
		}
		*s.to = stmt
		c.stmts = append(c.stmts, stmt)
	}
	return nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

func named(args []any) []driver.NamedValue {
	list := make([]driver.NamedValue, len(args))
	for i, a := range args {
		list[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return list
}

// exec runs a prepared statement and tells how many rows it changed. Arguments are int64 or string.
func (c *conn) exec(s driver.Stmt, args ...any) (int64, error) {
	r, err := s.(driver.StmtExecContext).ExecContext(context.Background(), named(args))
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// query runs a prepared statement and shows each row; use may end it with an error.
func (c *conn) query(s driver.Stmt, args []any, use func([]driver.Value) error) (err error) {
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), named(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
		if err := use(row); err != nil {
			return err
		}
	}
}
