using Platform.Load;

// Measurements and faults, as programs a person runs; build/benchmarks, build/faults and build/neighbours start this with the host's program file.
return args switch
{
    ["bare", var onnx, var features, var outputs, var url] => await Done(BareEndpoint.RunAsync(onnx, int.Parse(features), int.Parse(outputs), new Uri(url))),
    ["benchmarks", var host, .. var options] => await Benchmarks.RunAsync(host, options),
    ["faults", var host, .. var options] => await Faults.RunAsync(host, options),
    ["fleet", var host, var tenants, var each] => await Fleet.RunAsync(host, int.Parse(tenants), int.Parse(each)),
    ["allocation", var host] => await Allocation.RunAsync(host),
    ["neighbours", var host, .. var options] => await Neighbours.RunAsync(host, options),
    ["soak", var host, .. var options] => await Soak.RunAsync(host, options),
    ["logging", var host, .. var options] => await Logging.RunAsync(host, options),
    ["tracking", var host, .. var options] => await Tracking.RunAsync(host, options),
    ["models", var host, .. var options] => await ModelSearches.RunAsync(host, options),
    ["uploads", var host, .. var options] => await Uploads.RunAsync(host, options),
    _ => throw new ArgumentException("benchmarks | faults | fleet | allocation | logging | models | neighbours | soak | tracking | uploads, then Platform.Host.dll; build/benchmarks, build/faults, build/neighbours, build/logging-benchmark, build/tracking-benchmark and build/upload-memory do it for you."),
};

static async Task<int> Done(Task task)
{
    await task;
    return 0;
}
