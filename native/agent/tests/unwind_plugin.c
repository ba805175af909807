// Built several times with another VARIANT: libraries that take each other's place.
typedef void (*then_fn)(void *closure);

volatile int plugin_variant = VARIANT;
volatile then_fn plugin_resolver_then;
volatile void *plugin_closure;

#if VARIANT % 2
#define WORK() plugin_variant++
#else
#define WORK() (plugin_variant += 3, plugin_variant ^= 5)
#endif

__attribute__((noinline, optimize("no-optimize-sibling-calls"))) void plugin_call(then_fn then,
                                                                                  void *closure) {
  volatile char room[VARIANT * 64];
  room[0] = 1;
  WORK();
  then(closure);
  plugin_variant += room[0];
}

static int lazy_real(void) { return VARIANT; }

// Run by the dynamic linker inside the first call.
static int (*lazy_resolve(void))(void) {
  then_fn then = plugin_resolver_then;
  if (then) then((void *)plugin_closure);
  return lazy_real;
}

int plugin_lazy(void) __attribute__((ifunc("lazy_resolve")));

int plugin_call_lazy(void) { return plugin_lazy() + 1; }
