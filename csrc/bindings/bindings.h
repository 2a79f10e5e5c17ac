// What every bind_*.cc shares: pybind11 and the conversion of times. Nothing outside csrc/bindings includes pybind11.
#pragma once

#include <pybind11/native_enum.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>

#include "mark/types.h"

namespace py = pybind11;

inline mark::TimeNs time_of(std::int64_t ns) { return mark::TimeNs{mark::DurationNs{ns}}; }
inline std::int64_t ns_of(mark::TimeNs time) { return time.time_since_epoch().count(); }
inline std::int64_t ns_of(mark::DurationNs duration) { return duration.count(); }

void bind_profile(py::module_& m);
void bind_dispatcher(py::module_& m);
void bind_oip(py::module_& m);
void bind_endpoint(py::module_& m);
void bind_provisioner(py::module_& m);
void bind_burst(py::module_& m);
void bind_simulation(py::module_& m);
void bind_planning(py::module_& m);
void bind_timer(py::module_& m);
void bind_tracer(py::module_& m);
void bind_request_end(py::module_& m);
// Where the native data plane was built.
void bind_load(py::module_& m);
void bind_model_server(py::module_& m);
void bind_native(py::module_& m);

// Text that may be any bytes: what is no UTF-8 comes as \xNN.
py::str escaped(const std::string& text);
