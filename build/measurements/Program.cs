using Platform.Measurements;

// What the engine under the prediction path does, measured: dotnet run -c Release --project build/measurements -- batching
switch (args)
{
    case ["batching", .. var models]:
        await Batching.RunAsync(models);
        return 0;
    case ["memory", .. var file]:
        await Memory.RunAsync(file.FirstOrDefault());
        return 0;
    default:
        Console.Error.WriteLine("usage: batching [model.onnx …] | memory [model.onnx]");
        return 2;
}
