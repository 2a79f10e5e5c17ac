// The timer that drives the request path from Python's event loop.
#include "bindings/bindings.h"
#include "net/wakeup_timer.h"

void bind_timer(py::module_& m) {
  using Timer = mark::net::WakeupTimer;
  py::class_<Timer>(m, "WakeupTimer", "A timer that an event loop watches as a file descriptor.")
      .def(py::init<>())
      .def("fileno", &Timer::fd)
      .def(
          "arm", [](Timer& timer, std::int64_t delay_ns) { timer.arm(mark::DurationNs{delay_ns}); },
          py::arg("delay_ns"))
      .def("disarm", &Timer::disarm)
      .def("acknowledge", &Timer::acknowledge);
}
