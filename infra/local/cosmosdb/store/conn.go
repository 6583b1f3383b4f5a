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
	readPragmas    = `PRAGMA busy_timeout=10000; PRAGMA query_only=ON; PRAGMA cache_size=-16384; PRAGMA mmap_size=268435456;`
	lockStatements = `PRAGMA busy_timeout=0; BEGIN EXCLUSIVE;`
	memoryPragmas  = `PRAGMA page_size=8192; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY;`
)

// schema: documents lie in the order of their key, so that a partition is one stretch of the file. rid is the number of
// the creation and never changes; lsn is the number of the last write. expires is a Unix time, NULL for never. entries
// holds every index: the values of some properties, encoded so that their bytes sort as the values do.
const schema = `
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY CHECK (one = 1), lsn INTEGER NOT NULL);
INSERT OR IGNORE INTO clock VALUES (1, 0);
CREATE TABLE IF NOT EXISTS resources (kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
	container INTEGER, partition TEXT, id TEXT,
	rid INTEGER NOT NULL, lsn INTEGER NOT NULL, time INTEGER NOT NULL, expires INTEGER, body TEXT NOT NULL,
	PRIMARY KEY (container, partition, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_by_creation ON documents (container, rid);
CREATE INDEX IF NOT EXISTS documents_by_expiry ON documents (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS uniques (container INTEGER, partition TEXT, value TEXT, id TEXT NOT NULL,
	PRIMARY KEY (container, partition, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (ix INTEGER, partition TEXT, value BLOB, id TEXT, PRIMARY KEY (ix, partition, value, id)) WITHOUT ROWID;
`

// changeIndex is made when somebody first asks for changes: every write would pay for it.
const changeIndex = `CREATE INDEX IF NOT EXISTS documents_by_change ON documents (container, lsn)`

// conn is one SQLite connection with every statement prepared once. One goroutine uses it at a time.
type conn struct {
	raw   driver.Conn
	stmts []driver.Stmt
	args  []driver.NamedValue

	begin, commit, rollback                           driver.Stmt
	getClock, setClock                                driver.Stmt
	get, head, put, remove, removeContainer           driver.Stmt
	scanPartition, scanPrefix, scanCreated, scanMoved driver.Stmt
	scanUp, scanDown, countEntries                    driver.Stmt
	scanExpired, lastChange                           driver.Stmt
	resources, setResource, removeResource            driver.Stmt
	getUnique, putUnique, removeUnique, removeUniques driver.Stmt
	putEntry, removeEntry, removeIndex, indexChanges  driver.Stmt
}

// statement is a text to prepare and the field to keep it in. The reading ones name as few columns as they can: the driver
// works for each of them.
type statement struct {
	to  *driver.Stmt
	sql string
}

const alive = `ifnull(expires, ?) >= ?`

func (c *conn) readStatements() []statement {
	return []statement{
		{&c.get, `SELECT rid, lsn, ifnull(expires, 0), body FROM documents WHERE container = ? AND partition = ? AND id = ?`},
		{&c.scanPartition, `SELECT id, body FROM documents WHERE container = ? AND partition = ? AND id > ? AND ` + alive + ` ORDER BY id LIMIT ?`},
		{&c.scanPrefix, `SELECT id, body, partition FROM documents WHERE container = ? AND (partition, id) > (?, ?) AND partition < ? AND ` + alive + ` ORDER BY partition, id LIMIT ?`},
		{&c.scanCreated, `SELECT id, body, partition, rid FROM documents WHERE container = ? AND rid > ? AND ` + alive + ` ORDER BY rid LIMIT ?`},
		{&c.scanMoved, `SELECT id, body, partition, lsn, time FROM documents WHERE container = ? AND lsn > ? AND ` + alive + ` ORDER BY lsn LIMIT ?`},
		{&c.scanUp, entryScan(`>`, `ASC`)},
		{&c.scanDown, entryScan(`<`, `DESC`)},
		{&c.countEntries, `SELECT count(*) FROM entries WHERE ix = ? AND partition = ? AND value >= ? AND value < ?`},
		{&c.lastChange, `SELECT ifnull(max(lsn), 0) FROM documents WHERE container = ?`},
		{&c.resources, `SELECT kind, name, body FROM resources ORDER BY kind, name`},
		{&c.getClock, `SELECT lsn FROM clock`},
	}
}

// entryScan walks an index between two values and fetches the documents on the way.
func entryScan(beyond, direction string) string {
	return `SELECT d.id, d.body, e.value FROM entries e CROSS JOIN documents d ON d.container = ? AND d.partition = e.partition AND d.id = e.id
		WHERE e.ix = ? AND e.partition = ? AND e.value >= ? AND e.value < ? AND (e.value, e.id) ` + beyond + ` (?, ?) AND ` + alive + `
		ORDER BY e.value ` + direction + `, e.id ` + direction + ` LIMIT ?`
}

func (c *conn) writeStatements() []statement {
	return []statement{
		{&c.begin, `BEGIN IMMEDIATE`},
		{&c.commit, `COMMIT`},
		{&c.rollback, `ROLLBACK`},
		{&c.setClock, `UPDATE clock SET lsn = ?`},
		{&c.head, `SELECT rid, lsn, ifnull(expires, 0) FROM documents WHERE container = ? AND partition = ? AND id = ?`},
		{&c.put, `INSERT INTO documents (container, partition, id, rid, lsn, time, expires, body) VALUES (?, ?, ?, ?, ?, ?, nullif(?, 0), ?)
			ON CONFLICT DO UPDATE SET lsn = excluded.lsn, time = excluded.time, expires = excluded.expires, body = excluded.body`},
		{&c.remove, `DELETE FROM documents WHERE container = ? AND partition = ? AND id = ?`},
		{&c.removeContainer, `DELETE FROM documents WHERE container = ?`},
		{&c.scanExpired, `SELECT container, partition, id, body FROM documents WHERE expires <= ? ORDER BY expires LIMIT ?`},
		{&c.setResource, `INSERT OR REPLACE INTO resources VALUES (?, ?, ?)`},
		{&c.removeResource, `DELETE FROM resources WHERE kind = ? AND name = ?`},
		{&c.getUnique, `SELECT id FROM uniques WHERE container = ? AND partition = ? AND value = ?`},
		{&c.putUnique, `INSERT OR REPLACE INTO uniques VALUES (?, ?, ?, ?)`},
		{&c.removeUnique, `DELETE FROM uniques WHERE container = ? AND partition = ? AND value = ?`},
		{&c.removeUniques, `DELETE FROM uniques WHERE container = ?`},
		{&c.putEntry, `INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)`},
		{&c.removeEntry, `DELETE FROM entries WHERE ix = ? AND partition = ? AND value = ? AND id = ?`},
		{&c.indexChanges, changeIndex},
		{&c.removeIndex, `DELETE FROM entries WHERE ix = ?`},
	}
}

func (c *conn) prepare(list []statement) error {
	for _, s := range list {
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

// named gives the arguments to the driver in a slice that the next statement uses again.
func (c *conn) named(args []any) []driver.NamedValue {
	list := c.args[:0]
	for i, a := range args {
		list = append(list, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	c.args = list
	return list
}

// exec runs a prepared statement. Arguments are int64, string or []byte.
func (c *conn) exec(s driver.Stmt, args ...any) error {
	_, err := s.(driver.StmtExecContext).ExecContext(context.Background(), c.named(args))
	return err
}

// query runs a prepared statement and shows each row; use may end it with an error.
func (c *conn) query(s driver.Stmt, args []any, use func([]driver.Value) error) (err error) {
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), c.named(args))
	if err != nil {
		return err
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
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
