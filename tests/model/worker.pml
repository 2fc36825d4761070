/* The worker niks3-gc: a part of gc.pml. */

/* What is known in memory while a run marks: libcommon/db/graph.c */
byte snapshot; /* the ids in it */
byte stale;    /* those that were not live */
byte edges[N];
byte reached, read_anew, garbage, expiring;

/* read_snapshot(): one snapshot of everything, then follow(). */
inline read_snapshot()
{
	snapshot = row;
	stale = pend | tomb;
	expiring = closures & old;
	printf("worker: snapshot, roots %d\n", (closures & ~old) | NEEDED);
	read_anew = 0;
#ifdef DROP_NEEDS
	reached = closures & ~old;
#else
	reached = ((closures & ~old) | NEEDED) & row;
#endif
	for (i : 0 .. N - 1) {
		edges[i] = (has(row & ~pend & ~claimed, i) -> refs[i] : 0)
	}
	for (k : 1 .. N) {
		for (i : 0 .. N - 1) {
			if
			:: has(reached, i) -> reached = reached | edges[i]
			:: else
			fi
		}
	}
	garbage = row & ~stale & ~reached
}

/* follow() and read_waves() from the objects in x. */
inline follow()
{
	do
	:: x != 0 ->
		i = 0;
		do
		:: !has(x, i) -> i++
		:: else -> break
		od;
		x = x & ~bit(i);
		if
		:: has(snapshot & ~stale, i) ->
			x = x | (has(reached, i) -> 0 : edges[i])
		:: else ->
			if
			:: has(row & ~pend & ~read_anew, i) ->
				read_anew = read_anew | bit(i);
				x = x | refs[i]
			:: else
			fi
		fi;
		reached = reached | bit(i)
	:: else -> break
	od
}

/* graph_draw_seq(): roots that appear from now on are new. */
inline draw_seq()
{
	marking = true;
	new_closures = 0;
	new_uploads = 0;
	gained[0] = 0;
	gained[1] = 0
}

inline marked()
{
	draw_seq();
	marking = false;
	snapshot = 0; stale = 0; reached = 0; read_anew = 0; garbage = 0;
	expiring = 0; old = 0;
	for (i : 0 .. N - 1) {
		edges[i] = 0
	}
	i = 0
}

/* catch_up() of graph_batch.c */
inline catch_up()
{
	x = new_closures & closures;
	for (k : 0 .. 1) {
		if
		:: has(new_uploads, k) ->
#ifndef DROP_GAINED
			x = x | gained[k];
#endif
			x = x | (state[k] == OPEN -> NEEDS(k) : 0)
		:: else
		fi
	}
	follow()
}

/*
 * Objects that a narinfo names which has a row, in whatever state: hold(), rule
 * R10.
 */
#ifdef DROP_NOT_DUE /* tombstones that nobody has claimed are left out */
#define HOLDERS (row & INFO & (claimed | pend))
#else
#define HOLDERS (row & INFO)
#endif
#ifdef DROP_HOLD_ANEW
byte held;
#endif
inline hold()
{
	y = 0;
	for (i : 0 .. N - 1) {
		y = y | (has(HOLDERS, i) -> refs[i] & ~INFO : 0)
	}
}
inline named_by_narinfos()
{
#if defined(DROP_R10)
	y = 0;
#elif defined(DROP_HOLD_ANEW)
	y = held;
#else
	hold();
#endif
}

#define UNNEEDED (~(NEEDED | closures))

/* delete_batch() of bin/niks3-gc/reap.c: the DELETE of what is claimed. */
inline send()
{
	printf("worker: DELETE of %d is sent\n", batch);
	late_auth = late_auth & ~batch;
	deletes_old = deletes_old | (deletes & batch);
	deletes = deletes | batch;
	todo = batch;
	batch = 0;
	check()
}

/* reap_claim_pending(): what was rolled back. */
#if defined(DROP_TWICE)
#define ROLLED_BACK (pend & ~tomb & ~swept & UNNEEDED)
#elif defined(DROP_TOMBSTONE)
#define ROLLED_BACK (pend & ~claimed & (~swept | ~pending_auth) & UNNEEDED)
#else
#define ROLLED_BACK (pend & ~tomb & (~swept | ~pending_auth) & UNNEEDED)
#endif
#define claim_pending(rank, p)                                              \
	:: d_step { NOW(p) && !marking && (ROLLED_BACK & (rank)) != 0 -> \
		batch = ROLLED_BACK & (rank) FOUND                       \
		named_by_narinfos();                                     \
		batch = batch & CHECK(ROLLED_BACK, pend & ~tomb) & ~y;   \
		printf("worker: claims pending %d\n", batch);            \
		tomb = tomb | batch;                                     \
		claimed = claimed | batch;                               \
		send() } goto answer

/* reap_claim(): tombstones, those whose grace is over or all. */
#define DUE(old_enough) (tomb & ~claimed & UNNEEDED & (old_enough))
#define claim_tombstones(rank, old_enough, p)                               \
	:: d_step { NOW(p) && !marking && (DUE(old_enough) & (rank)) != 0 -> \
		batch = DUE(old_enough) & (rank) FOUND                   \
		named_by_narinfos();                                     \
		batch = batch & CHECK(DUE(old_enough), tomb & ~claimed) & ~y; \
		printf("worker: claims tombstones %d\n", batch);         \
		if                                                       \
		:: (old_enough) == ALL -> no_grace(batch)                \
		:: else                                                  \
		fi;                                                      \
		claimed = claimed | batch;                               \
		send() } goto answer

/*
 * The statement that claims checks again all that the one before it, which
 * found the candidates, has seen.
 */
#ifdef DROP_R4
#define CHECK(all, least) (least)
#else
#define CHECK(all, least) (all)
#endif
#if defined(DROP_R4) || defined(FIND)
#define FOUND } d_step {
#else
#define FOUND ; /* nothing of the first is believed: one step does */
#endif

/* What S3 says of a DELETE, key by key, lowest first. */
#define TURN(o) ((todo & (bit(o) * 2 - 1)) == bit(o))
#define answer_of(o)                                                     \
	:: d_step { TURN(o) ->                                           \
		todo = todo & ~bit(o); deletes = deletes & ~bit(o);      \
		printf("answer: %d is gone\n", o);                       \
		gone = gone | bit(o); s3_delete(o); check() }            \
	:: d_step { REFUSE && MAY_FAIL && TURN(o) && has(deletes, o) -> \
		failed;                                                  \
		printf("answer: %d is refused\n", o);                    \
		todo = todo & ~bit(o);                                   \
		deletes = deletes & ~bit(o); refused = refused | bit(o) } \
	:: d_step { LOST && MAY_FAIL && TURN(o) ->                        \
		failed; todo = todo & ~bit(o);                           \
		printf("answer: %d is unknown\n", o); UNKNOWN(o) }

#if defined(DROP_R6)
#define UNKNOWN(o) gone = gone | bit(o)
#elif defined(ADD_REPEAT) /* it is sent once more, and that one is believed */
#define UNKNOWN(o) gone = gone | bit(o); s3_delete(o); check()
#else
#define UNKNOWN(o) skip
#endif

/* reap_finish() */
inline finish()
{
	printf("worker: finish, gone %d, refused %d\n", gone, refused);
	x = gone & claimed;
#ifdef DROP_NEEDED
	z = 0;
#else
	z = NEEDED & x;
#endif
	pending_auth = pending_auth | (contents_auth & x);
	contents_auth = contents_auth & ~x;
	y = pending_auth & x; /* somebody may still write it */
#ifndef DROP_CLAIMED_AT
	y = y | (late_auth & x);
#endif
	late_auth = late_auth & ~x & ~refused;
	tomb = tomb & ~x;
	no_grace(~tomb);
	claimed = claimed & ~x & ~refused;
	pend = (pend & ~x) | y | z;
	swept = (swept & ~x) | (y & ~z);
#ifndef DROP_DOUBT
	/* It may have been gone before it was refused. */
	pend = pend | (leftover -> refused : 0);
#endif
	x = x & ~y & ~z;
	row = row & ~x;
	pending_auth = pending_auth & ~x;
	for (i : 0 .. N - 1) {
		lost = lost | ((refs[i] & x) != 0 -> bit(i) : 0);
		refs[i] = (has(x, i) -> 0 : refs[i] & ~x);
		writer[i] = (has(x, i) -> 0 : writer[i])
	}
	lost = lost & row;
	gone = 0;
	refused = 0;
	leftover = false;
	check()
}

/* No garbage that is not tombstoned yet refers to o. */
#define FIRST(o)                                          \
	!((has(garbage, 0) && has(edges[0], o)) ||        \
	    (has(garbage, 1) && has(edges[1], o)) ||      \
	    (has(garbage, 2) && has(edges[2], o)))

/* graph_tombstone(): a batch, here of one object, after catching up. */
#ifdef DROP_R8
#define IN_ORDER(o) has(garbage, o)
#else
#define IN_ORDER(o) (has(garbage, o) && FIRST(o))
#endif
#ifdef DROP_R5
#define CATCH_UP skip
#else
#define CATCH_UP catch_up(); draw_seq()
#endif
#ifdef GRACE
#define GRAVE(o) young = young | bit(o)
#else
#define GRAVE(o) skip
#endif
#define tombstone_of(o)                                                  \
	:: d_step { IN_ORDER(o) ->                                       \
		CATCH_UP;                                                \
		garbage = garbage & ~bit(o);                             \
		if                                                       \
		:: !has(reached | pend | tomb, o) ->                     \
			printf("worker: tombstone %d\n", o);             \
			GRAVE(o);                                        \
			tomb = tomb | bit(o); stale = stale | bit(o)     \
		:: else                                                  \
		fi;                                                      \
		check() }

/*
 * When nobody else can do anything any more, and the worker neither, all
 * garbage is gone.
 */
#define QUIET                                                            \
	(state[0] >= COMMITTED && state[1] >= COMMITTED && RIGHTS == 0 && \
	    (deletes | deletes_old | claimed) == 0)
inline last_look()
{
	hold();
	z = (ROLLED_BACK | (tomb & UNNEEDED)) & ~y;
	x = closures;
	for (k : 1 .. N) {
		for (i : 0 .. N - 1) {
			x = x | (has(x, i) -> refs[i] : 0)
		}
	}
	z = z | (LIVE & ~x);
	garbage_is_gone = z != 0 ||
	    (row == x && bucket == x && (tomb | pend) == 0);
	assert(garbage_is_gone);
	x = 0; y = 0; z = 0; i = 0; k = 0
}

/*
 * Its phases in any order: a worker that is killed begins with the first one
 * again. To die between a claim and finish is the same as not to hear what S3
 * answered.
 */
/* Claims are taken over when LATE: no DELETE can be on its way. */
#ifdef DROP_LATE
#define LEFT claimed
#else
#define LEFT (claimed & ~deletes)
#endif

#ifdef DROP_LEFTOVERS
#define SKIP_LEFT true
#else
#define SKIP_LEFT false
#endif
/* One batch of each phase; the next run does the rest. */
#define IDLE                                                     \
	(NOW(0) -> SKIP_LEFT || LEFT == 0 : (NOW(1) -> LIVE == 0 : \
	    (NOW(2) -> (ROLLED_BACK & INFO) == 0 :               \
	    (NOW(3) -> (ROLLED_BACK & ~INFO) == 0 :              \
	    (NOW(4) -> (DUE(ALL) & INFO) == 0 :                  \
	    (NOW(5) -> (DUE(ALL) & ~INFO) == 0 : (NOW(6) -> !QUIET : true)))))))

active proctype worker()
{
	byte batch, todo, gone, refused;
	bool leftover;

end:
	do
	/* reap_leftovers() */
#ifndef DROP_LEFTOVERS
	:: d_step { NOW(0) && !marking && LEFT != 0 ->
		batch = LEFT; leftover = true; send() } goto answer
#endif
#ifdef DROP_HOLD_ANEW
	:: d_step { !marking -> hold(); held = y; y = 0 }
#endif
	/* Narinfos first: what they name goes when they are gone for sure. */
	claim_pending(INFO, 2)
	claim_pending(~INFO, 3)
	claim_tombstones(INFO, ~young, 4)
	claim_tombstones(~INFO, ~young, 5)
#ifdef GRACE
	claim_tombstones(INFO, ALL, 4)
	claim_tombstones(~INFO, ALL, 5)
#endif
	:: d_step { NOW(6) && QUIET -> last_look(); next }
	/* graph_load(): first the number, then the snapshot. */
#ifdef DROP_SEQ
	:: d_step { NOW(1) && LIVE != 0 -> marking = true } goto mark
#else
	:: d_step { NOW(1) && LIVE != 0 -> draw_seq() } goto mark
#endif
#ifdef FINITE
	:: d_step { IDLE -> next }
#endif
	od;

answer:
	atomic {
		do
		answer_of(0)
		answer_of(1)
		answer_of(2)
		:: todo == 0 -> break
		od
	}
	d_step { finish(); next }
	goto end;

mark:
	if
	:: d_step { true -> old = closures; read_snapshot() }
	:: d_step { true -> read_snapshot() }
	fi;
#ifdef DROP_SEQ
	d_step { draw_seq() }
#endif
	/* graph_revive(), as settle(): if all it refers to is live. */
	d_step {
		z = reached & snapshot & stale & tomb & ~claimed & ~pend;
		x = 0;
		for (i : 0 .. N - 1) {
#ifdef DROP_REVIVE_REFS
			x = x | (has(z, i) -> bit(i) : 0)
#else
			x = x | ((has(z & ~lost, i) &&
			    (refs[i] & ~LIVE) == 0) -> bit(i) : 0)
#endif
		}
		tomb = tomb & ~x;
		no_grace(~tomb);
		check()
	}
	/* graph_expire() */
	d_step {
#ifdef DROP_AGE
		x = expiring;
#else
		x = expiring & old;
#endif
		present_is_kept = (x & ~old) == 0;
		assert(present_is_kept);
		closures = closures & ~x;
		old = 0;
		printf("worker: closures that go: %d\n", x);
#ifndef DROP_KEPT
		x = expiring & closures;
		follow();
#endif
		expiring = 0;
		check()
	}
	do
	tombstone_of(0)
	tombstone_of(1)
	tombstone_of(2)
	:: garbage == 0 -> break
#ifdef CRASHES
	:: d_step { MAY_FAIL -> failed } break /* the worker dies */
#endif
	od;
	atomic { d_step { marked(); next } }
	goto end
}
