// SPDX-License-Identifier: Apache-2.0
/*
 * Two BPF programs that a policy's filter cannot be: the filter that criu itself is under, and the
 * one that lets criu's parasite work in a process with a policy. Both are plain lists of numbers:
 * the kernel tries those once for each number and remembers the result (seccomp_cache_prepare()).
 */
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "lib/policy.h"
#include "sandbox/criu.h"

#define DATA(member) ((uint32_t)offsetof(struct seccomp_data, member))
#define ARG(n) DATA(args[n])
#define ARG_HIGH(n) (DATA(args[n]) + 4)
#define LOAD(k) ((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (k)))
#define RETURN(k) ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (k)))
#define JUMP(op, k, yes, no)                                                                       \
	((struct sock_filter)BPF_JUMP(BPF_JMP | (op) | BPF_K, (k), (yes), (no)))
#define DENIED(e) (SECCOMP_RET_ERRNO | (e))
#define X32_BIT 0x40000000u

/* Numbers that the headers of Debian 12 do not define. */
#define NR_LISTMOUNT 458
#define NR_LSM_SET_SELF_ATTR 460
#define NR_OPEN_TREE_ATTR 467

/*
 * Calls that neither a dump nor a restore makes. The kernel refuses most of them to a process
 * without capabilities anyway; the list is for the next fault in one of them. A task is under this
 * filter and its policy's, which refuses more.
 */
static const uint16_t never[] = {
	/* of mounts, roots and namespaces */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_open_tree,
	SYS_move_mount,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	NR_OPEN_TREE_ATTR,
	NR_LISTMOUNT,
	SYS_unshare,
	SYS_setns,
	SYS_open_by_handle_at,
	SYS_name_to_handle_at,
	/* of large parts of the kernel that a program can talk to */
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	SYS_fanotify_init,
	SYS_fanotify_mark,
	SYS_lookup_dcookie,
	NR_LSM_SET_SELF_ATTR,
	/* of the machine's own state */
	SYS_kexec_load,
	SYS_kexec_file_load,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_create_module,
	SYS_query_module,
	SYS_get_kernel_syms,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_acct,
	SYS_quotactl,
	SYS_quotactl_fd,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_clock_adjtime,
	SYS_adjtimex,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_iopl,
	SYS_ioperm,
	SYS_syslog,
	SYS_vhangup,
	SYS_nfsservctl,
	SYS_uselib,
	SYS_ustat,
	SYS_sysfs,
	SYS__sysctl,
	/* of other processes */
	SYS_process_vm_writev,
	SYS_process_madvise,
	SYS_move_pages,
	SYS_migrate_pages,
};

/* The socket families that criu asks about when it examines a process's sockets, or that its
 * parasite talks through. */
static const uint8_t families[] = {AF_UNIX, AF_NETLINK, AF_INET, AF_INET6};

struct program {
	struct sock_filter *bpf;
	size_t n;
};

static void add(struct program *p, struct sock_filter one)
{
	p->bpf[p->n++] = one;
}

void criu_filter(struct sock_filter bpf[CRIU_FILTER_MAX], size_t *ret_n)
{
	struct program p = {.bpf = bpf};

	_Static_assert(2 * ARRAY_SIZE(never) + ARRAY_SIZE(families) + 40 < CRIU_FILTER_MAX, "room");
	add(&p, LOAD(DATA(arch)));
	add(&p, JUMP(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0));
	add(&p, RETURN(SECCOMP_RET_KILL_PROCESS));
	add(&p, LOAD(DATA(nr)));
	add(&p, JUMP(BPF_JGE, X32_BIT, 0, 1));
	add(&p, RETURN(SECCOMP_RET_KILL_PROCESS));
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		add(&p, JUMP(BPF_JEQ, never[i], 0, 1));
		add(&p, RETURN(DENIED(EPERM)));
	}
	add(&p, JUMP(BPF_JEQ, SYS_socket, 0, 3 + ARRAY_SIZE(families)));
	add(&p, LOAD(ARG(0)));
	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		add(&p, JUMP(BPF_JEQ, families[i], (uint8_t)(ARRAY_SIZE(families) - i), 0));
	add(&p, RETURN(DENIED(EPERM)));
	add(&p, RETURN(SECCOMP_RET_ALLOW));
	/* F_SETSIG makes a file send another signal than SIGIO. It is refused, for that could be
	 * the SIGCONT that wakes what criu has left stopped (checkpoint_image.c). */
	add(&p, JUMP(BPF_JEQ, SYS_fcntl, 0, 4));
	add(&p, LOAD(ARG(1)));
	add(&p, JUMP(BPF_JEQ, F_SETSIG, 0, 1));
	add(&p, RETURN(DENIED(EPERM)));
	add(&p, RETURN(SECCOMP_RET_ALLOW));
	/* No new namespaces by clone either. clone3, by which criu chooses a pid, has its flags in
	 * memory, where no filter can read them; every policy refuses clone3
	 * (lib/policy.c). */
	add(&p, JUMP(BPF_JEQ, SYS_clone, 0, 4));
	add(&p, LOAD(ARG(0)));
	add(&p, JUMP(BPF_JSET, POLICY_CLONE_NAMESPACES, 0, 1));
	add(&p, RETURN(DENIED(EPERM)));
	add(&p, RETURN(SECCOMP_RET_ALLOW));
	/*
	 * Two ptrace requests of criu's need the host's root, and their failure must not stop it.
	 * When criu asks to suspend a process's filter, it is told that this was done, and works
	 * under the filter (see criu_warm_filter). When it asks to read the filter, it is told that
	 * there is none, and leaves it out of the image.
	 */
	add(&p, JUMP(BPF_JEQ, SYS_ptrace, 1, 0));
	add(&p, RETURN(SECCOMP_RET_ALLOW));
	add(&p, LOAD(ARG(0)));
	add(&p, JUMP(BPF_JEQ, PTRACE_SECCOMP_GET_FILTER, 0, 1));
	add(&p, RETURN(DENIED(ENOENT)));
	add(&p, JUMP(BPF_JEQ, PTRACE_SETOPTIONS, 0, 3));
	add(&p, LOAD(ARG(3)));
	add(&p, JUMP(BPF_JSET, PTRACE_O_SUSPEND_SECCOMP, 0, 1));
	add(&p, RETURN(DENIED(0)));
	add(&p, RETURN(SECCOMP_RET_ALLOW));
	*ret_n = p.n;
}

int criu_attach_filter(struct err *e)
{
	struct sock_filter bpf[CRIU_FILTER_MAX];
	size_t n;

	criu_filter(bpf, &n);
	return seccomp_attach(bpf, n, e);
}

/* The calls of criu's parasite (criu/pie/parasite.c, compel/plugins/std): for itself, for its
 * socket, and what it asks the kernel about the process. */
static const uint16_t parasite[] = {
	SYS_mmap,
	SYS_munmap,
	SYS_mprotect,
	SYS_memfd_create,
	SYS_brk,
	SYS_close,
	SYS_fcntl,
	SYS_read,
	SYS_write,
	SYS_connect,
	SYS_recvfrom,
	SYS_sendto,
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_shutdown,
	SYS_vmsplice,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sigaltstack,
	SYS_getitimer,
	SYS_timer_gettime,
	SYS_timer_getoverrun,
	SYS_gettid,
	SYS_getpid,
	SYS_getpgid,
	SYS_getsid,
	SYS_gettimeofday,
	SYS_umask,
	SYS_capget,
	SYS_getgroups,
	SYS_getresuid,
	SYS_getresgid,
	SYS_rseq,
	SYS_exit,
};

/* Its calls that are allowed with one value of one argument. */
static const struct {
	uint16_t nr;
	uint8_t arg;
	uint32_t value;
} parasite_args[] = {
	{SYS_socket, 0, AF_UNIX},
	{SYS_setfsuid, 0, ~0U}, /* which changes nothing and returns the value */
	{SYS_setfsgid, 0, ~0U},
	{SYS_membarrier, 0, 1 << 9}, /* MEMBARRIER_CMD_GET_REGISTRATIONS */
	{SYS_prctl, 0, PR_GET_TID_ADDRESS},
	{SYS_prctl, 0, PR_GET_PDEATHSIG},
	{SYS_prctl, 0, PR_GET_NAME},
	{SYS_prctl, 0, PR_GET_DUMPABLE},
	{SYS_prctl, 0, PR_GET_THP_DISABLE},
	{SYS_prctl, 0, PR_GET_CHILD_SUBREAPER},
	{SYS_prctl, 0, PR_GET_NO_NEW_PRIVS},
	{SYS_prctl, 0, PR_GET_SECUREBITS},
	{SYS_prctl, 0, PR_CAPBSET_READ},
};

#define WARM_HEAD_MAX (2 * ARRAY_SIZE(parasite) + 6 * ARRAY_SIZE(parasite_args) + 16)

int criu_warm_filter(const struct sock_filter *policy, size_t n, struct sock_filter **ret,
		     size_t *ret_n, struct err *e)
{
	struct program p = {.bpf = calloc(WARM_HEAD_MAX + n, sizeof(struct sock_filter))};
	size_t skip;

	if (!p.bpf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "warm: filter");
	/* A call of another architecture, or of x32, is left to the policy's filter behind this
	 * one. */
	add(&p, LOAD(DATA(arch)));
	add(&p, JUMP(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0));
	skip = p.n;
	add(&p, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
	add(&p, LOAD(DATA(nr)));
	for (size_t i = 0; i < ARRAY_SIZE(parasite); i++) {
		add(&p, JUMP(BPF_JEQ, parasite[i], 0, 1));
		add(&p, RETURN(SECCOMP_RET_ALLOW));
	}
	for (size_t i = 0; i < ARRAY_SIZE(parasite_args); i++) {
		add(&p, JUMP(BPF_JEQ, parasite_args[i].nr, 0, 4));
		add(&p, LOAD(ARG(parasite_args[i].arg)));
		add(&p, JUMP(BPF_JEQ, parasite_args[i].value, 0, 1));
		add(&p, RETURN(SECCOMP_RET_ALLOW));
		add(&p, LOAD(DATA(nr)));
	}
	add(&p, JUMP(BPF_JEQ, SYS_prctl, 0, 5));
	add(&p, LOAD(ARG(0)));
	add(&p, JUMP(BPF_JEQ, PR_CAP_AMBIENT, 0, 3));
	add(&p, LOAD(ARG(1)));
	add(&p, JUMP(BPF_JEQ, PR_CAP_AMBIENT_IS_SET, 0, 1));
	add(&p, RETURN(SECCOMP_RET_ALLOW));
	p.bpf[skip].k = (uint32_t)(p.n - skip - 1);
	if (p.n + n > POLICY_BPF_MAX) {
		free(p.bpf);
		return err_set(e, ERR_LIMIT, 0,
			       "warm: the policy's filter has %zu instructions; with more than %zu "
			       "there are no checkpoints",
			       n, POLICY_BPF_MAX - p.n);
	}
	memcpy(p.bpf + p.n, policy, n * sizeof(*policy));
	*ret = p.bpf;
	*ret_n = p.n + n;
	return 0;
}
