using System.Globalization;
using Platform.Sample;

if (args is not [var file, .. var rest] || rest.Length > 2
    || !TryNumber(rest.ElementAtOrDefault(0), 6_000, out var rows) || rows < 1
    || !TryNumber(rest.ElementAtOrDefault(1), 20_240_601, out var seed))
{
    Console.Error.WriteLine("usage: dotnet run --project build/sample -- FILE.csv [ROWS] [SEED]");
    return 2;
}

using (var csv = new StreamWriter(file)) SimulatedCounty.Write(csv, rows, seed);
Console.WriteLine($"{rows} simulated sales written to {file}");
return 0;

static bool TryNumber(string? given, int otherwise, out int number)
{
    number = otherwise;
    return given is null || int.TryParse(given, NumberStyles.None, CultureInfo.InvariantCulture, out number);
}
