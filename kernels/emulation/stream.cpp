#include "kernels/emulation/stream.hpp"

#include <memory>
#include <set>
#include <utility>

#include "kernels/emulation/call.hpp"
#include "kernels/emulation/device_memory.hpp"

namespace posetape::emulation {
namespace {

CUstream_st legacy;
std::set<std::unique_ptr<CUstream_st>> streams;
std::set<std::unique_ptr<CUevent_st>> events;

// The owner of a handle in its set, or end().
template <class T>
auto owner(std::set<std::unique_ptr<T>>& set, T* handle) {
  auto it = set.begin();
  while (it != set.end() && it->get() != handle) ++it;
  return it;
}

bool exists(CUevent_st* event) {
  return owner(events, event) != events.end();
}

cudaError_t create_stream(cudaStream_t* stream, unsigned flags) {
  if (stream == nullptr || flags > cudaStreamNonBlocking) return cudaErrorInvalidValue;
  auto made = std::make_unique<CUstream_st>();
  made->blocking = flags == cudaStreamDefault;
  *stream = made.get();
  streams.insert(std::move(made));
  return cudaSuccess;
}

cudaError_t create_event(cudaEvent_t* event, unsigned flags) {
  if (event == nullptr || (flags & ~cudaEventDisableTiming) != 0) return cudaErrorInvalidValue;
  auto made = std::make_unique<CUevent_st>();
  made->timed = flags == cudaEventDefault;
  *event = made.get();
  events.insert(std::move(made));
  return cudaSuccess;
}

void insert_all(std::vector<int>& into, const std::vector<int>& from) {
  for (const int node : from) {
    bool found = false;
    for (const int have : into) found = found || have == node;
    if (!found) into.push_back(node);
  }
}

// The stream waits for a captured event: it joins the event's capture.
cudaError_t join_capture(CUstream_st& stream, CUevent_st& event) {
  if (stream.capture == nullptr) {
    if (&stream == &legacy) return cudaErrorStreamCaptureImplicit;
    stream.capture = event.capture;
    stream.frontier.clear();
  } else if (stream.capture != event.capture) {
    stream.capture->valid = event.capture->valid = false;
    return cudaErrorStreamCaptureMerge;
  }
  insert_all(stream.frontier, event.frontier);
  return cudaSuccess;
}

}  // namespace

CUstream_st* find_stream(cudaStream_t handle) {
  if (handle == nullptr) return &legacy;
  const auto it = owner(streams, handle);
  return it == streams.end() ? nullptr : it->get();
}

cudaError_t check_stream(cudaStream_t handle) {
  const CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (stream->capture != nullptr) {
    return stream->capture->valid ? cudaSuccess : cudaErrorStreamCaptureInvalidated;
  }
  if (stream != &legacy) return cudaSuccess;
  for (const auto& other : streams) {
    if (other->blocking && other->capture != nullptr) {
      other->capture->valid = false;
      return cudaErrorStreamCaptureImplicit;
    }
  }
  return cudaSuccess;
}

WorkId submit_to(CUstream_st& stream, std::vector<WorkId> after, std::function<void()> run) {
  after.push_back(stream.last);
  if (&stream == &legacy) {
    for (const auto& other : streams) {
      if (other->blocking) after.push_back(other->last);
    }
  } else if (stream.blocking) {
    after.push_back(legacy.last);
  }
  stream.last = add_work(std::move(after), std::move(run));
  return stream.last;
}

cudaError_t enqueue(cudaStream_t handle, std::function<void()> run) {
  if (const cudaError_t error = check_stream(handle)) return error;
  CUstream_st& stream = *find_stream(handle);
  if (stream.capture == nullptr) {
    submit_to(stream, {}, std::move(run));
    return cudaSuccess;
  }
  auto& nodes = stream.capture->nodes;
  nodes.push_back({stream.frontier, std::move(run)});
  stream.frontier = {static_cast<int>(nodes.size()) - 1};
  return cudaSuccess;
}

bool capture_forbids_unsafe() {
  bool forbids = false;
  for (const auto& stream : streams) {
    if (stream->capture == nullptr || stream->capture->mode == cudaStreamCaptureModeRelaxed) {
      continue;
    }
    stream->capture->valid = false;
    forbids = true;
  }
  return forbids;
}

void run_stream(CUstream_st& stream) {
  run_until(stream.last);
  check_red_zones("at a synchronisation");
}

std::vector<CUstream_st*> streams_in(const Capture& capture) {
  std::vector<CUstream_st*> found;
  for (const auto& stream : streams) {
    if (stream->capture.get() == &capture) found.push_back(stream.get());
  }
  return found;
}

std::string stream_leaks() {
  std::string text;
  for (std::size_t i = 0; i < streams.size(); ++i) text += "a stream\n";
  for (std::size_t i = 0; i < events.size(); ++i) text += "an event\n";
  return text;
}

void reset_streams() {
  streams.clear();
  events.clear();
  legacy = {};
}

}  // namespace posetape::emulation

using namespace posetape::emulation;

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return call("cudaStreamCreate", [&] { return create_stream(stream, cudaStreamDefault); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return call("cudaStreamCreateWithFlags", [&] { return create_stream(stream, flags); });
}

// Its work goes on.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return call("cudaStreamDestroy", [&] {
    const auto it = owner(streams, stream);
    if (it == streams.end()) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) return cudaErrorStreamCaptureUnsupported;
    // The null stream goes on waiting for it.
    if (stream->blocking && is_pending(stream->last)) {
      legacy.last = add_work({legacy.last, stream->last}, [] {});
    }
    streams.erase(it);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return call("cudaStreamSynchronize", [&] {
    if (const cudaError_t error = check_stream(stream)) return error;
    CUstream_st& found = *find_stream(stream);
    if (found.capture != nullptr) {
      found.capture->valid = false;
      return cudaErrorStreamCaptureUnsupported;
    }
    run_stream(found);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return call("cudaStreamQuery", [&] {
    if (const cudaError_t error = check_stream(stream)) return error;
    CUstream_st& found = *find_stream(stream);
    if (found.capture != nullptr) {
      found.capture->valid = false;
      return cudaErrorStreamCaptureUnsupported;
    }
    if (!is_pending(found.last)) return cudaSuccess;
    run_one();  // time passes
    return cudaErrorNotReady;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return call("cudaStreamWaitEvent", [&] {
    if (!exists(event)) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = check_stream(stream)) return error;
    CUstream_st& found = *find_stream(stream);
    if (event->capture != nullptr) return join_capture(found, *event);
    if (found.capture != nullptr) {
      found.capture->valid = false;
      return cudaErrorStreamCaptureIsolation;
    }
    if (event->recorded) submit_to(found, {event->work}, [] {});
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return call("cudaEventCreate", [&] { return create_event(event, cudaEventDefault); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return call("cudaEventCreateWithFlags", [&] { return create_event(event, flags); });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return call("cudaEventDestroy", [&] {
    const auto it = owner(events, event);
    if (it == events.end()) return cudaErrorInvalidResourceHandle;
    events.erase(it);
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return call("cudaEventRecord", [&] {
    if (!exists(event)) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = check_stream(stream)) return error;
    CUstream_st& found = *find_stream(stream);
    event->recorded = true;
    event->capture = found.capture;
    if (found.capture != nullptr) {
      event->frontier = found.frontier;
      return cudaSuccess;
    }
    event->time = std::make_shared<double>(0);
    event->work = submit_to(found, {}, [time = event->time] { *time = work_clock(); });
    return cudaSuccess;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return call("cudaEventSynchronize", [&] {
    if (!exists(event)) return cudaErrorInvalidResourceHandle;
    if (event->capture != nullptr) return cudaErrorCapturedEvent;
    run_until(event->work);
    check_red_zones("at a synchronisation");
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return call("cudaEventQuery", [&] {
    if (!exists(event)) return cudaErrorInvalidResourceHandle;
    if (event->capture != nullptr) return cudaErrorCapturedEvent;
    if (!is_pending(event->work)) return cudaSuccess;
    run_one();  // time passes
    return cudaErrorNotReady;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  return call("cudaEventElapsedTime", [&] {
    if (milliseconds == nullptr) return cudaErrorInvalidValue;
    for (CUevent_st* event : {begin, end}) {
      if (!exists(event) || !event->recorded || !event->timed) {
        return cudaErrorInvalidResourceHandle;
      }
      if (event->capture != nullptr) return cudaErrorCapturedEvent;
    }
    if (is_pending(begin->work) || is_pending(end->work)) return cudaErrorNotReady;
    *milliseconds = static_cast<float>((*end->time - *begin->time) * 1e-3);
    return cudaSuccess;
  });
}
