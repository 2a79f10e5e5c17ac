#include "bindings/bindings.h"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The compiled half of mark.";
#ifdef NDEBUG
  m.attr("assertions_enabled") = false;
#else
  m.attr("assertions_enabled") = true;
#endif
  bind_profile(m);
  bind_dispatcher(m);
  bind_oip(m);
  bind_tracer(m);
  bind_endpoint(m);
  bind_provisioner(m);
  bind_burst(m);
  bind_simulation(m);
  bind_planning(m);
  bind_timer(m);
  bind_request_end(m);
#ifdef MARK_HAS_NATIVE
  m.attr("native_available") = true;
  bind_load(m);
  bind_model_server(m);
  bind_native(m);
#else
  m.attr("native_available") = false;
#endif
}
