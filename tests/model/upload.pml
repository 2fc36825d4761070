/* An upload, client and server: a part of gc.pml. */

#ifndef DROP_R1
#define seen 0 /* when it wrote what it needs, it had looked at nothing yet */
#endif

/*
 * settle() of uploads_begin.c: what is needed and not live is revived, written
 * anew, or waited for.
 */
inline settle(u)
{
	/* x: live or revived, y: to write anew, z: tombstones */
	z = NEEDS(u) & ~seen & tomb & ~claimed & ~pend;
	x = (NEEDS(u) & LIVE) | seen;
#ifndef DROP_R2
	for (k : 1 .. N) {
		for (i : 0 .. N - 1) {
			if
			:: has(z, i) && refs[i] == WANT(u, i) &&
			    (WANT(u, i) & ~x) == 0 ->
				x = x | bit(i)
			:: else
			fi
		}
	}
	y = z & ~x;
	gained[u] = gained[u] | (has(new_uploads, u) -> z & x : 0);
	tomb = tomb & ~(z & x);
	no_grace(~tomb);
	pend = pend | y;
#endif
	waits[u] = NEEDS(u) & claimed & ~seen;
	missing[u] = missing[u] | (NEEDS(u) & pend & ~claimed & ~seen)
}

/* begin() of uploads_begin.c, one transaction with the roots lock shared. */
inline begin(u)
{
	printf("upload %d begins\n", u);
	x = NEEDS(u) & ~row & ~seen; /* insert_needs() */
	for (i : 0 .. N - 1) {
		if
		:: has(x, i) -> refs[i] = WANT(u, i)
		:: else
		fi
	}
	row = row | x;
	pend = pend | x;
	state[u] = OPEN;
	new_uploads = new_uploads | (marking -> bit(u) : 0);
	settle(u);
	check()
}

/* The narinfos that u may write now: publish claim. */
#if defined(DROP_WINDOW_END)
#define OTHERS(u, o) (writer[o] != 0 && writer[o] != (u) + 1)
#elif defined(DROP_WRITER_UNKNOWN)
#define OTHERS(u, o)                                              \
	(has(pending_auth | contents_auth, o) && writer[o] != 0 && \
	    writer[o] != (u) + 1)
#else
#define OTHERS(u, o) \
	(has(pending_auth | contents_auth, o) && writer[o] != (u) + 1)
#endif
#define WRITES(u, o) \
	(has((((o) == 0 && CONTENT(u) == 2) -> may_write_2 : may_write_1), o))

#define put_narinfo(u, o)                                                  \
	/* The writing is over before auth_until is. */                    \
	:: d_step { has(todo, o) && (WANT(u, o) & todo) == 0 &&            \
	    WRITES(u, o) ->                                                \
		printf("upload %d: writes narinfo %d\n", u, o);               \
		order_of_writing = state[u] != OPEN ||                     \
		    (WANT(u, o) & ~bucket) == 0;                           \
		assert(order_of_writing);                                  \
		s3_put_narinfo(o, ((o) == 0 -> CONTENT(u) : 1));           \
		todo = todo & ~bit(o); check() }                           \
	:: has(todo, o) && (WANT(u, o) & todo) == 0 && !WRITES(u, o) -> \
		goto commit

proctype upload(byte u)
{
	byte objects, paths, todo;
	bool done;
#ifdef DROP_R1
	byte seen;
#endif

#ifdef DROP_R1
	/* It looks first, and writes what it needs when all may be other. */
	seen = NEEDS(u) & LIVE;
#endif
	d_step { begin(u) }
	/* wait_deleted(); a deadline ends the upload as if it was aborted. */
	do
	:: d_step { waits[u] != 0 && state[u] == OPEN &&
	    (claimed & waits[u]) == 0 ->
		printf("upload %d looks again\n", u); settle(u); check() }
	:: waits[u] == 0 || state[u] != OPEN -> break
	od;

authorize:
	objects = 0; paths = 0; todo = 0;
	/* uploads_authorize(): the right is written down before it is given. */
	d_step {
		if
		:: state[u] == OPEN ->
			x = missing[u] & ~INFO;
			printf("upload %d: authorized %d\n", u, x);
#ifndef DROP_R7
			pending_auth = pending_auth | (x & pend);
			contents_auth = contents_auth | (x & ~pend);
			swept = swept & ~x;
#endif
			may_put = may_put | x;
			x = 0
		:: else
		fi
	}
#ifdef FINITE
	if
	:: true
	:: d_step { MAY_FAIL -> printf("client %d dies\n", u); failed;
		dead[u] = true } goto over
	fi;
#endif
	/* The client writes. */
	d_step { printf("upload %d: client writes\n", u);
		bucket = bucket | (may_put & missing[u]); check() }

commit:
	todo = 0;
	/* commit_load() */
	d_step {
		printf("upload %d: commit loads\n", u);
		if
		:: state[u] == OPEN ->
			paths = missing[u] & INFO & pend;
			objects = NEEDS(u) & pend & ~(missing[u] & INFO)
		:: else -> paths = 0; objects = 0
		fi;
		done = state[u] != OPEN
	}
	/* check_objects(): what S3 does not know for sure is asked again. */
	if
	:: done -> goto over
	:: !done && (objects & ~bucket) == 0
	:: !done && (objects & ~bucket) != 0 -> goto authorize
	fi;
	/* The publish claim: all narinfos or none. */
	if
	:: d_step { state[u] != OPEN || (paths & ~pend) != 0 ->
		done = true } goto commit
#ifndef DROP_R9
	:: d_step { state[u] == OPEN && (paths & ~pend) == 0 &&
	    !(has(paths, 0) && OTHERS(u, 0)) &&
	    !(has(paths, 1) && OTHERS(u, 1)) ->
#else
	:: d_step { state[u] == OPEN && (paths & ~pend) == 0 ->
#endif
		printf("upload %d: claims to publish %d\n", u, paths);
		for (i : 0 .. N - 1) {
			if
			:: has(paths, i) ->
				writer[i] = u + 1;
#ifndef DROP_CLAIM_REFS
				refs[i] = refs[i] | WANT(u, i)
#endif
			:: else
			fi
		}
		swept = swept & ~paths;
		pending_auth = pending_auth | paths;
		x = (CONTENT(u) == 2 -> paths & 1 : 0);
		may_write_2 = may_write_2 | x;
		may_write_1 = may_write_1 | (paths & ~x);
		check() }
	fi;
#ifdef FINITE
	if
	:: true
	:: d_step { MAY_FAIL -> printf("client %d dies\n", u); failed;
		dead[u] = true } goto over
	fi;
#endif
	/* put_all(): in the order of the references. */
	todo = paths;
	do
	put_narinfo(u, 0)
	put_narinfo(u, 1)
	:: todo == 0 -> break
#ifdef CRASHES
	:: d_step { MAY_FAIL -> failed } goto commit /* the server dies */
#endif
	od;
	done = true;
	/* commit_finish(), one transaction with the roots lock shared. */
	d_step {
		printf("upload %d: finish\n", u);
		x = objects | paths;
		y = 0;
		for (i : 0 .. N - 1) {
			if
#ifndef DROP_R3
			:: has(NEEDS(u), i) && (!has(row, i) ||
			    (has(tomb | pend, i) &&
			    !(has(x, i) && !has(claimed, i)))) -> y = 1
#endif
#if !defined(DROP_R9) && !defined(DROP_WRITER)
			:: has(paths, i) && (!has(pend, i) ||
			    writer[i] != u + 1) -> y = 1
#endif
			:: else
			fi
		}
		if
		:: state[u] == OPEN && y == 0 ->
			for (i : 0 .. N - 1) {
				if
				:: has(x, i) ->
					refs[i] = (has(pend, i) -> WANT(u, i) :
					    refs[i] | WANT(u, i));
					writer[i] = 0
				:: else
				fi
			}
			lost = lost & ~x;
			contents_auth = contents_auth | (pending_auth & x);
			pending_auth = pending_auth & ~x;
			pend = pend & ~x;
			swept = swept & ~x;
			tomb = tomb & ~x;
			no_grace(~tomb);
			closures = closures | ROOT(u);
			old = old & ~ROOT(u);
			new_closures = new_closures | (marking -> ROOT(u) : 0);
			gained[u] = gained[u] | (has(new_uploads, u) -> x : 0);
			state[u] = COMMITTED;
			missing[u] = 0;
			printf("upload %d: committed\n", u);
			check()
		:: else
		fi
	}
	if
	:: state[u] == OPEN -> goto authorize /* 409: push again */
	:: state[u] != OPEN
	fi;
over:
	skip
}
