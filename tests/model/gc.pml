/*
 * The protocol that decides what niks3 deletes: uploads, the garbage collection
 * and the bucket. README.md says what is left out, and why that is sound.
 *
 * Sets of objects are bit masks: one bit of a byte for each object. Each d_step
 * is what the code does in one transaction, or what S3 does at one moment;
 * between two of them anything may happen. The function of the code that a step
 * stands for is named beside it.
 *
 * A rule is kept where its number is tested below; -DDROP_R4 drops it.
 */

/* ---- the objects: what there is, who wants what ---- */

#define bit(o) (1 << (o))
#define has(set, o) (((set) >> (o)) & 1)

#define NONE	  0 /* states of an upload */
#define OPEN	  1
#define COMMITTED 2
#define ENDED	  3

/*
 * INFO: the objects that are narinfos; the others refer to nothing.
 * REFS(o, c): what o refers to when its content is c, which is 1, or 2 where
 *	one store path was built twice with different results.
 * NEEDS(u), ROOT(u), CONTENT(u): of upload u: all it needs, the narinfo that
 *	becomes a closure, and the content of object 0 that it has.
 * LIVE0, GRAVE0, ROOTS0: live, tombstoned and closures in the beginning.
 */
#if defined(REUSE)
/* An old closure A -> N, while B -> A, N and A -> N are pushed. */
#define N	   3
#define INFO	   3
#define REFS(o, c) ((o) == 0 -> 4 : ((o) == 1 -> 5 : 0))
#define NEEDS(u)   ((u) == 0 -> 7 : 5)
#define ROOT(u)	   ((u) == 0 -> 2 : 1)
#define CONTENT(u) 1
#define LIVE0	   5
#define GRAVE0	   0
#define ROOTS0	   1
#elif defined(FRESH)
/* Two closures that are new and share N: A -> N and B -> A, N. */
#define N	   3
#define INFO	   3
#define REFS(o, c) ((o) == 0 -> 4 : ((o) == 1 -> 5 : 0))
#define NEEDS(u)   ((u) == 0 -> 5 : 7)
#define ROOT(u)	   ((u) == 0 -> 1 : 2)
#define CONTENT(u) 1
#define LIVE0	   0
#define GRAVE0	   0
#define ROOTS0	   0
#elif defined(TWICE)
/* One store path, built with two results: P -> N1 and P -> N2. */
#define N	   3
#define INFO	   1
#define REFS(o, c) ((o) == 0 -> 2 * (c) : 0)
#define NEEDS(u)   ((u) == 0 -> 3 : 5)
#define ROOT(u)	   1
#define CONTENT(u) (1 + (u))
#define LIVE0	   0
#define GRAVE0	   0
#define ROOTS0	   0
#elif defined(REBUILT)
/* The same, and the first result was there: as garbage. */
#define N	   3
#define INFO	   1
#define REFS(o, c) ((o) == 0 -> 2 * (c) : 0)
#define NEEDS(u)   ((u) == 0 -> 3 : 5)
#define ROOT(u)	   1
#define CONTENT(u) (1 + (u))
#define LIVE0	   0
#define GRAVE0	   3
#define ROOTS0	   0
#elif defined(DEEP)
/* An old closure T -> B -> N is pushed again. */
#define N	   3
#define INFO	   3
#define REFS(o, c) ((o) == 0 -> 2 : ((o) == 1 -> 4 : 0))
#define NEEDS(u)   7
#define ROOT(u)	   1
#define CONTENT(u) 1
#define LIVE0	   7
#define GRAVE0	   0
#define ROOTS0	   1
#elif defined(CHAIN)
/* Garbage T -> B -> N is pushed again, whole and in part. */
#define N	   3
#define INFO	   3
#define REFS(o, c) ((o) == 0 -> 2 : ((o) == 1 -> 4 : 0))
#define NEEDS(u)   7
#define ROOT(u)	   1
#define CONTENT(u) 1
#define LIVE0	   0
#define GRAVE0	   7
#define ROOTS0	   0
#endif

#define WANT(u, o)  REFS(o, ((o) == 0 -> CONTENT(u) : 1))
#define ALL	    ((1 << N) - 1)
#ifndef UPLOADS
#define UPLOADS 2
#endif
#ifndef LATE   /* PUTs whose answer nobody waits for */
#define LATE 0
#endif
#ifndef LOST   /* answers to a DELETE */
#define LOST 0
#endif
#ifndef REFUSE /* a DELETE, for one key */
#define REFUSE 0
#endif

/*
 * -DFINITE: for what has to happen in the end. Only so many things go wrong
 * then, nobody ends an upload but the worker one whose client is dead, and the worker
 * keeps to the order of its phases.
 */
#ifdef FINITE
byte luck = FINITE;
bool dead[2];
#define MAY_FAIL (luck > 0)
#define failed	 luck--
#define ALIVE(u) (state[u] == OPEN && !dead[u])
/* Rights end while somebody who makes use of them is alive: too slow. */
#define SLOW(o)                                                         \
	(has(INFO, o) -> (writer[o] != 0 -> ALIVE(writer[o] - 1) : false) : \
	    ((ALIVE(0) && has(NEEDS(0), o)) || (ALIVE(1) && has(NEEDS(1), o))))
byte phase;
#define NOW(p)	 (phase == (p))
#define next	 phase = (phase + 1) % 8
#else
#define MAY_FAIL true
#define failed	 skip
#define SLOW(o)	 false
#define NOW(p)	 true
#define next	 skip
#endif

/* ---- the database ---- */

byte row;	    /* objects */
byte refs[N];	    /* objects.refs; an id that is gone is no bit any more, */
byte lost;	    /* but those that had one are here */
byte pend;	    /* pending */
byte swept;	    /* pending.swept */
byte writer[N];	    /* pending.writer: 1 + the upload */
byte tomb;	    /* tombstones */
byte claimed;	    /* of these, claim is set */
#ifdef GRACE
byte young;	    /* of these, those whose grace is not over */
#else
#define young 0
#endif
byte closures, old; /* and those that are older than a run keeps them */
byte new_closures;  /* seq is beyond the last that the worker has drawn */
byte new_uploads;   /* a set of uploads: the same */
bool marking;	    /* else nobody asks for these two */
byte state[2];	    /* of the uploads */
byte gained[2];	    /* what became live by them */
byte missing[2];    /* what they have to write */
/* auth_until of a pending row and of a row in contents is not over. */
byte pending_auth, contents_auth;
byte late_auth; /* it was not over when the row was claimed */

/* ---- the bucket, and what is on the way to it ---- */

byte bucket;	  /* what is there */
byte second;	  /* of these, with content 2 */
byte may_put;	  /* a client's authorised PUT may be executed, any time */
byte may_write_1; /* a PUT of a narinfo may be, with content 1 */
byte may_write_2;
byte deletes;	  /* a DELETE was sent, and may be executed */
byte deletes_old; /* another one before it (only where a rule is dropped) */

/* ---- ghosts: no part of niks3 ---- */

byte waits[2]; /* what a beginning upload knows to be on its way out */

/* Scratch of single steps, no part of the state. */
hidden byte i, k, x, y, z;
hidden byte I1_closure_is_in_the_bucket, I2_live_is_in_the_bucket,
    I3_needed_is_not_deleted, I4_grace, I5_bucket_has_a_row,
    I6_narinfo_has_its_nar, L1_live_refers_to_live, L2_refs_are_the_content,
    order_of_writing, garbage_is_gone, present_is_kept,
    L3_needed_is_no_tombstone;

#define LIVE	(row & ~pend & ~tomb)
#define IS(o)	(has(second, o) + 1) /* content of an object in the bucket */

#define NEEDED                                 \
	((state[0] == OPEN -> NEEDS(0) : 0) | \
	    (state[1] == OPEN -> NEEDS(1) : 0))

/* With -DTRACE a replay tells each step, and what is there after it. */
#ifdef TRACE
inline picture()
{
	printf("\t\t\t\t");
	for (i : 0 .. N - 1) {
		printf(" %d:%c%c%c%c%c%c", i,
		    (has(bucket, i) -> 48 + IS(i) : '-'),
		    (has(row, i) -> 'r' : '-'), (has(pend, i) -> 'p' : '-'),
		    (has(claimed, i) -> 'C' : (has(tomb, i) -> 't' : '-')),
		    (has(pending_auth | contents_auth, i) -> 'a' : '-'),
		    (has(closures, i) -> 'R' : '-'))
	}
	printf("\n"); i = 0
}
#else
inline picture()
{
	skip
}
#endif

/* A tombstone that goes forgets its time; so does one that is forced. */
#ifdef GRACE
#define no_grace(set) young = young & ~(set)
#else
#define no_grace(set) skip
#endif

#ifdef NO_I6
#define I6_OF 0
#else
#define I6_OF ALL
#endif

/* After every step. The rules L* are not promised to anybody, but carry I*. */
inline check()
{
	picture();
	I2_live_is_in_the_bucket = (LIVE & ~bucket) == 0;
	assert(I2_live_is_in_the_bucket);
	I5_bucket_has_a_row =
	    ((bucket | may_put | may_write_1 | may_write_2) & ~row) == 0;
	assert(I5_bucket_has_a_row);
	/* I1: what is reached from the roots, by what the bucket says. */
	x = closures;
	for (k : 1 .. N) {
		for (i : 0 .. N - 1) {
			if
			:: has(x & bucket, i) -> x = x | REFS(i, IS(i))
			:: else
			fi
		}
	}
	I1_closure_is_in_the_bucket = (x & ~bucket) == 0;
	assert(I1_closure_is_in_the_bucket);
	for (i : 0 .. N - 1) {
		if
		:: has(bucket & INFO & I6_OF, i) ->
			I6_narinfo_has_its_nar =
			    (REFS(i, IS(i)) & ~INFO & ~bucket) == 0;
			assert(I6_narinfo_has_its_nar)
		:: else
		fi;
#ifndef ONLY_PROMISES
		L3_needed_is_no_tombstone = !has(tomb & ~pend, i) ||
		    !((state[0] == OPEN && has(NEEDS(0) & ~waits[0], i)) ||
		      (state[1] == OPEN && has(NEEDS(1) & ~waits[1], i)));
		assert(L3_needed_is_no_tombstone);
		if
		:: has(LIVE, i) ->
			L1_live_refers_to_live = (refs[i] & ~LIVE) == 0;
			assert(L1_live_refers_to_live);
			L2_refs_are_the_content = refs[i] == REFS(i, IS(i));
			assert(L2_refs_are_the_content)
		:: else
		fi
#endif
	}
	i = 0; k = 0; x = 0; y = 0; z = 0
}

/* ---- S3 ---- */

/* I3 but for what an upload, while it begins, waits to be gone. */
inline s3_delete(o)
{
	I3_needed_is_not_deleted = !has(bucket, o) ||
	    !((state[0] == OPEN && has(NEEDS(0) & ~waits[0], o)) ||
	      (state[1] == OPEN && has(NEEDS(1) & ~waits[1], o)));
	assert(I3_needed_is_not_deleted);
	I4_grace = !has(young, o);
	assert(I4_grace);
	bucket = bucket & ~bit(o);
	second = second & ~bit(o)
}

/* Spin takes no expression in brackets as the parameter of an inline. */
#define s3_put_narinfo(o, content)  \
	bucket = bucket | bit(o);   \
	second = (second & ~bit(o)) | (bit(o) * ((content) - 1))

#define NOT_1 (may_write_1 & (~bucket | second))
#define NOT_2 (may_write_2 & ~second)
#define RIGHTS (may_put | may_write_1 | may_write_2)

#define world_of(o)                                                           \
	/* A PUT of a client: If-None-Match. */                               \
	:: d_step { LATE && has(may_put & ~bucket, o) -> \
		printf("a PUT of %d arrives\n", o); \
		bucket = bucket | bit(o); check() }                           \
	/* A PUT of a narinfo whose answer nobody waits for any more. */      \
	:: d_step { LATE && has(NOT_1, o) ->                                  \
		printf("a late PUT of narinfo %d, content 1\n", o);           \
		s3_put_narinfo(o, 1); check() }          \
	:: d_step { LATE && has(NOT_2, o) ->                                  \
		printf("a late PUT of narinfo %d, content 2\n", o);           \
		s3_put_narinfo(o, 2); check() }          \
	/* A DELETE is executed late, or lost. */                             \
	:: d_step { has(deletes, o) -> deletes = deletes & ~bit(o);           \
		printf("a DELETE of %d is executed\n", o);                    \
		s3_delete(o); check() }                                       \
	:: d_step { has(deletes, o) -> deletes = deletes & ~bit(o);           \
		printf("a DELETE of %d is lost\n", o); check() } \
	:: d_step { has(deletes_old, o) ->                                    \
		deletes_old = deletes_old & ~bit(o);                          \
		printf("an old DELETE of %d is executed\n", o);               \
		s3_delete(o); check() }                                       \
	/* Time: all rights to write the object are over; grace has passed. */\
	:: d_step { has(RIGHTS, o) && (MAY_FAIL || !SLOW(o)) ->              \
		printf("rights to write %d are over\n", o);                  \
		if                                                           \
		:: SLOW(o) -> failed                                         \
		:: else                                                      \
		fi;                                                          \
		may_put = may_put & ~bit(o);            \
		may_write_1 = may_write_1 & ~bit(o);                          \
		may_write_2 = may_write_2 & ~bit(o);                          \
		late_auth = late_auth | (bit(o) & claimed);                   \
		pending_auth = pending_auth & ~bit(o);                        \
		contents_auth = contents_auth & ~bit(o); check() }

#ifdef FINITE
#define ENDS(u) (state[u] == OPEN && dead[u])
#else
#define ENDS(u) (state[u] == OPEN)
#endif
#define end_of(u)                                      \
	:: d_step { ENDS(u) ->                         \
		printf("upload %d is ended\n", u);     \
		missing[u] = 0;                        \
		waits[u] = 0;                          \
		state[u] = ENDED }

active proctype world()
{
end:
	do
	world_of(0)
	world_of(1)
	world_of(2)
#if N > 3
	world_of(3)
#endif
#ifdef REFRESH
	/* A closure is asked for again: closures_present(); or pinned. */
	:: d_step { has(old & LIVE, 0) -> printf("closure 0 is refreshed\n");
		old = old & ~1 }
	:: d_step { has(old & LIVE, 1) -> printf("closure 1 is refreshed\n");
		old = old & ~2 }
#endif
#ifdef GRACE
	:: d_step { young != 0 -> printf("grace has passed\n"); young = 0 }
#endif
	/* An upload is aborted (uploads_abort()), or its lease runs out and
	 * the worker ends it (reap_uploads()). */
	end_of(0)
	end_of(1)
	od
}

#include "upload.pml"
#include "worker.pml"

init
{
	d_step {
		row = LIVE0 | GRAVE0;
		bucket = row;
		tomb = GRAVE0;
		closures = ROOTS0;
		for (i : 0 .. N - 1) {
			refs[i] = (has(row, i) -> REFS(i, 1) : 0)
		}
		i = 0
	}
	atomic {
		run upload(0);
		if
		:: UPLOADS == 2 -> run upload(1)
		:: else -> state[1] = ENDED
		fi
	}
}

#ifdef FINITE
#define OVER(u) (state[u] >= COMMITTED)
ltl nobody_waits { <> (OVER(0) && OVER(1)) }
ltl garbage_goes { <> [] (OVER(0) && OVER(1) && (tomb | pend) == 0 && \
	    row == bucket) }
#endif
